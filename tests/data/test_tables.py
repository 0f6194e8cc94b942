import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from llamarec_cli.data.dataset import prepare
from llamarec_cli.data.encodings import UnreadableError
from llamarec_cli.data.tables import TableOptions, read_tables
from llamarec_cli.errors import LlamaRecError, UsageError

EVENTS = [
    {"Customer ID": f"c{user}", "Product": f"p{(user * 3 + step) % 9}", "Rating": 1 + (user + step) % 5, "Date": step}
    for step in range(9)
    for user in range(12)
]
CATALOGUE = "product_id,name,brand\n" + "".join(f'p{item},"Thing,  {item}",Maker {item % 2}\n' for item in range(9))


def moment(step: int) -> datetime:
    return datetime(2026, 1, 1, 12, 0, step // 3, 250_000 * (step % 3), tzinfo=UTC)


def write_csv(path: Path) -> Path:
    lines = ["Customer ID,Product,Rating,Date"]
    lines += [
        f"{event['Customer ID']},{event['Product']},{event['Rating']},{moment(event['Date']):%Y-%m-%dT%H:%M:%S.%fZ}"
        for event in EVENTS
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_json_lines(path: Path) -> Path:
    lines = [json.dumps(event | {"Date": int(moment(event["Date"]).timestamp() * 1000)}) for event in EVENTS]
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def write_parquet(path: Path) -> Path:
    pl.DataFrame([event | {"Date": moment(event["Date"])} for event in EVENTS]).write_parquet(path)
    return path


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "items.csv"
    path.write_text(CATALOGUE)
    return path


def test_the_same_events_in_three_forms_give_the_same_set(tmp_path: Path, items: Path) -> None:
    sources = [
        write_csv(tmp_path / "log.csv"),
        write_json_lines(tmp_path / "log.jsonl.gz"),
        write_parquet(tmp_path / "log.parquet"),
    ]
    prepared = [prepare(read_tables(source, items, TableOptions())[0]) for source in sources]
    assert prepared[0].interaction_count == len(EVENTS)
    assert prepared[0].titles[1] == "Thing, 0"
    for other in prepared[1:]:
        assert other.items_N.tolist() == prepared[0].items_N.tolist()
        assert other.timestamps_N.tolist() == prepared[0].timestamps_N.tolist()  # type: ignore[union-attr]
        assert (other.user_ids, other.titles) == (prepared[0].user_ids, prepared[0].titles)


def log_of(path: Path, text: str, **options) -> tuple[list[tuple[str, str, int]], object]:  # type: ignore[no-untyped-def]
    path.write_text(text)
    raw, report = read_tables(path, None, TableOptions(**options))
    return raw.interactions.rows(), report


def test_order_within_a_second_is_kept_and_without_times_it_is_the_file_s(tmp_path: Path) -> None:
    header = "user,item,time,title\n"
    rows, _ = log_of(tmp_path / "a.csv", header + "u,b,5.9,B\nu,a,5.1,A\n")
    assert rows == [("u", "a", 5), ("u", "b", 5)]
    rows, _ = log_of(tmp_path / "b.csv", "user,item,title\nu,b,B\nu,a,A\n")
    assert rows == [("u", "b", 0), ("u", "a", 1)]


@pytest.mark.parametrize("time", ["1700000000", "1700000000000", "1700000000000000", "2023-11-14 22:13:20"])
def test_times_of_every_unit_are_understood(tmp_path: Path, time: str) -> None:
    rows, _ = log_of(tmp_path / "a.tsv", f"user\titem\ttime\ttitle\nu\ti\t{time}\tT\n")
    assert rows == [("u", "i", 1_700_000_000)]


def test_bad_rows_are_counted_and_shown_with_their_line(tmp_path: Path) -> None:
    text = "user,item,time,title\nu,a,1,A\n,b,2,B\nu,,3,C\nu,c,yesterday,C\nu,d\nu,e,9,E,more\n"
    rows, report = log_of(tmp_path / "a.csv", text)
    assert [row[1] for row in rows] == ["a"]
    assert report.bad_rows == 5  # type: ignore[attr-defined]
    assert report.examples == [  # type: ignore[attr-defined]
        "line 3: no user",
        "line 4: no item",
        "line 5: time is not a time of the form seconds since 1970",
        "line 6: time is not a time of the form seconds since 1970",
        "line 7: more than the 4 fields of the header",
    ]
    with pytest.raises(LlamaRecError, match="line 3: no user"):
        log_of(tmp_path / "a.csv", text, strict=True)


def test_lines_that_are_not_json_are_invalid_rows(tmp_path: Path) -> None:
    text = '{"user": 1, "item": "a", "title": "A"}\n{broken\n[]\n{"user": 2, "item": "b", "title": "B"}\n'
    rows, report = log_of(tmp_path / "a.jsonl", text)
    assert [row[:2] for row in rows] == [("1", "a"), ("2", "b")]
    assert report.examples[0].startswith("line 2")  # type: ignore[attr-defined]


def test_ratings_and_repetitions_are_filtered(tmp_path: Path) -> None:
    text = "user,item,rating,title\nu,a,5,A\nu,b,2,B\nu,a,4,A\n"
    rows, report = log_of(tmp_path / "a.csv", text, min_rating=3.0, deduplicate=True)
    assert [row[1] for row in rows] == ["a"]
    assert (report.low_rated, report.repeated) == (1, 1)  # type: ignore[attr-defined]


def test_titles_may_be_joined_from_columns(tmp_path: Path, items: Path) -> None:
    raw, _ = read_tables(
        write_csv(tmp_path / "log.csv"), items, TableOptions(title_column="{name} by {brand}", item_column="Product")
    )
    assert dict(raw.titles.iter_rows())["p3"] == "Thing, 3 by Maker 1"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{title} by {brand}", {"a": "A by X", "b": "B"}),
        ("{brand}: {title}", {"a": "X: A", "b": "B"}),
        ("{brand} ({color})", {"a": "X (red)", "c": "Y"}),  # neither has a usual name, so the first is the title
    ],
)
def test_of_joined_columns_the_title_itself_must_be_there(
    tmp_path: Path, template: str, expected: dict[str, str]
) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user,item,title,brand,color\nu,a,A,X,red\nu,b,B,,\nu,c,,Y,\n")
    raw, _ = read_tables(log, None, TableOptions(title_column=template))
    assert dict(raw.titles.iter_rows()) == expected


@pytest.mark.parametrize(
    ("name", "text", "options", "sentence"),
    [
        ("log.xlsx", "x", {}, "format of .* is unknown"),
        ("log.csv", "", {}, "empty|cannot be read"),
        ("log.csv", "who,what\na,b\n", {}, "No column .* usual name for users"),
        ("log.csv", "user,what\na,b\n", {}, "No column .* usual name for items"),
        ("log.csv", "user,item\na,b\n", {}, "No column .* usual name for titles"),
        ("log.csv", "user,item,title\na,b,c\n", {"user_column": "usr"}, "did you mean user"),
        ("log.csv", "user,item,title\na,b,c\n", {"min_rating": 3.0}, "no column of ratings"),
        ("log.csv", "user,item,title\na,b,c\n", {"title_column": "{title} by {brand}"}, "no column brand"),
        ("log.jsonl", "not json\n", {}, "one JSON object per line"),
        ("log.parquet", "not parquet", {}, "cannot be read"),
        ("log.csv.gz", "not gzip", {}, "cannot be read|No column"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(
    tmp_path: Path, name: str, text: str, options: dict[str, object], sentence: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises((LlamaRecError, UsageError, UnreadableError), match=sentence):
        read_tables(path, None, TableOptions(**options))  # type: ignore[arg-type]


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match="no file"):
        read_tables(tmp_path / "nowhere.csv", None, TableOptions())


def test_odd_names_of_columns_and_files_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "log[1].csv").write_text("row,user,item,title,*\n1,u,i,T,x\n")
    (tmp_path / "log1.csv").write_text("row,user,item,title,*\n1,v,i,T,x\n")
    raw, _ = read_tables(tmp_path / "log[1].csv", None, TableOptions())
    assert raw.interactions.rows() == [("u", "i", 0)]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"us'er\\": "u", "item": "i", "title": "T"}) + "\n")
    with pytest.raises(UsageError, match="cannot be read"):
        read_tables(path, None, TableOptions(user_column="us'er\\"))


def test_keys_that_the_first_record_leaves_out_are_found(tmp_path: Path) -> None:
    rows, _ = log_of(
        tmp_path / "a.jsonl",
        '{"user": "u", "item": "a", "title": "A"}\n{"user": "u", "item": "b", "title": "B", "ts": 9}\n',
    )
    assert [row[1] for row in rows] == ["b"]


def test_offsets_of_times_count(tmp_path: Path) -> None:
    text = "user,item,time,title\nu,a,2024-03-01T10:00:00+01:00,A\nu,b,2024-03-01 09:30:00Z,B\nu,c,2024-03-01,C\n"
    rows, _ = log_of(tmp_path / "a.csv", text)
    assert [row[1] for row in rows] == ["c", "a", "b"]


def test_if_no_row_can_be_used_the_reason_is_said(tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match="line 2: time is not a time"):
        log_of(tmp_path / "a.csv", "user,item,time,title\nu,a,noon,A\n")


def test_a_tab_separated_title_may_hold_quotes(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('user\titem\ttitle\nu\ta\t12" single\nu\tb\t"Weird Al" hits\n')
    raw, _ = read_tables(tmp_path / "a.tsv", None, TableOptions())
    assert raw.titles["title"].to_list() == ['12" single', '"Weird Al" hits']


def test_a_broken_title_template_is_a_sentence(tmp_path: Path) -> None:
    for template in ("{title} {title}", "{title"):
        with pytest.raises(UsageError):
            log_of(tmp_path / "a.csv", "user,item,title\nu,a,A\n", title_column=template)
