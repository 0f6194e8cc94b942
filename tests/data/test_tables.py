"""Reading of tables of one's own, and the report on it."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from table_folder import TableFolder

from llamarec_cli.data.dataset import prepare
from llamarec_cli.data.tables import TableOptions, read_tables
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.names import Repeats

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


def test_equal_tables_in_three_formats_give_equal_data(tmp_path: Path, items: Path) -> None:
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


def test_order_within_a_second_and_without_times_is_that_of_the_file(tmp_path: Path) -> None:
    header = "user,item,time,title\n"
    rows, _ = log_of(tmp_path / "a.csv", header + "u,b,5.9,B\nu,a,5.1,A\n")
    assert rows == [("u", "a", 5), ("u", "b", 5)]
    rows, _ = log_of(tmp_path / "b.csv", "user,item,title\nu,b,B\nu,a,A\n")
    assert rows == [("u", "b", 0), ("u", "a", 1)]


@pytest.mark.parametrize("time", ["1700000000", "1700000000000", "1700000000000000", "2023-11-14 22:13:20"])
def test_times_in_every_unit_are_read(tmp_path: Path, time: str) -> None:
    rows, _ = log_of(tmp_path / "a.tsv", f"user\titem\ttime\ttitle\nu\ti\t{time}\tT\n")
    assert rows == [("u", "i", 1_700_000_000)]


def test_invalid_rows_are_counted_and_shown_with_their_line(tmp_path: Path) -> None:
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


def test_low_ratings_and_repetitions_are_dropped(tmp_path: Path) -> None:
    text = "user,item,rating,title\nu,a,5,A\nu,b,2,B\nu,a,4,A\n"
    rows, report = log_of(tmp_path / "a.csv", text, min_rating=3.0, repeats=Repeats.DROP)
    assert [row[1] for row in rows] == ["a"]
    assert (report.low_rated, report.repeated) == (1, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("repeats", "kept"),
    [
        (None, ["u1", "u1", "v1", "u2", "v1", "u1", "u1", "u1"]),
        (Repeats.KEEP, ["u1", "u1", "v1", "u2", "v1", "u1", "u1", "u1"]),
        (Repeats.CONSECUTIVE, ["u1", "v1", "u2", "u1"]),
        (Repeats.DROP, ["u1", "v1", "u2"]),
    ],
)
def test_repeats_are_dropped_as_chosen(tmp_path: Path, repeats: Repeats | None, kept: list[str]) -> None:
    # In order of time, for each user alone; the file is in another order, and " 1" is the item 1.
    times = [("u", "1", 2), ("u", " 1", 1), ("v", "1", 3), ("u", "2", 4), ("u", "1", 8), ("u", "1", 7), ("u", "1", 6)]
    text = "user,item,time,title\n" + "".join(f"{user},{item},{at},T\n" for user, item, at in [*times, ("v", "1", 5)])
    rows, report = log_of(tmp_path / "a.csv", text, repeats=repeats)
    assert [user + item for user, item, _ in rows] == kept
    assert (report.repeated, report.repeats) == (8 - len(kept), repeats)  # type: ignore[attr-defined]


def test_time_zone_offsets_are_applied(tmp_path: Path) -> None:
    text = "user,item,time,title\nu,a,2024-03-01T10:00:00+01:00,A\nu,b,2024-03-01 09:30:00Z,B\nu,c,2024-03-01,C\n"
    rows, _ = log_of(tmp_path / "a.csv", text)
    assert [row[1] for row in rows] == ["c", "a", "b"]


def test_if_no_row_is_valid_the_first_fault_is_shown(tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match="line 2: time is not a time"):
        log_of(tmp_path / "a.csv", "user,item,time,title\nu,a,noon,A\n")


def test_every_column_used_is_reported_with_an_example(folder: TableFolder) -> None:
    _, report = folder.read(
        "Customer ID,sku,Event_Time,score,x\nNaN,7,31/12/2024,5,\nc1,7,30/12/2024,4,\n",
        "id,name\n7,Thing\n",
        min_rating=1.0,
    )
    assert report.columns == {
        "user": "Customer ID",
        "item": "sku",
        "time": "Event_Time",
        "rating": "score",
        "item in the items": "id",
        "title": "name",
    }
    assert report.column_examples == {
        "user": "c1",
        "item": "7",
        "time": "31/12/2024",
        "rating": "5",
        "item in the items": "7",
        "title": "Thing",
    }
    assert report.notes == ["Times are read as day/month/year."]
