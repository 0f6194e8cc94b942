"""What tables hold that they should not: read rightly, refused by a sentence that names the cause, or counted."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from llamarec_cli.data.dataset import prepare
from llamarec_cli.data.readers import RawLog, read_raw_log
from llamarec_cli.data.tables import ImportReport, TableOptions, read_tables
from llamarec_cli.errors import LlamaRecError


class Folder:
    """Writes tables and reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(
        self, log: str | bytes, items: str | bytes | None = None, name: str = "log.csv", **options: Any
    ) -> tuple[RawLog, ImportReport]:
        for file, content in ((name, log), ("items.csv", items)):
            if content is not None:
                (self.path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_tables(
            self.path / name, None if items is None else self.path / "items.csv", TableOptions(**options)
        )

    def titles(self, *arguments: Any, **options: Any) -> dict[str, str]:
        return dict(self.read(*arguments, **options)[0].titles.iter_rows())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


LOG = "user,item\nu,1\nu,2\n"


def test_a_title_that_an_unquoted_comma_cuts_is_not_used(folder: Folder) -> None:
    items = 'item,title\n1,"Good, the Bad"\n2,Good, the Bad\n'
    raw, report = folder.read(LOG, items)
    assert raw.titles.rows() == [("1", "Good, the Bad")]
    assert (report.bad_catalogue_rows, report.unmatched_rows) == (1, 1)
    assert report.examples[0].endswith("items.csv, line 3: more than the 2 fields of the header")
    with pytest.raises(LlamaRecError, match="line 3: more than the 2 fields"):
        folder.read(LOG, items, strict=True)
    with pytest.raises(LlamaRecError, match="line 2: more than the 3 fields") as caught:
        folder.read("user,item,title\nu,1,Good, the Bad\n")
    assert "quotes around fields" in (caught.value.hint or "")
    # A comma at the end of every line is no field.
    assert folder.titles("user,item,title\nu,1,A,\n") == {"1": "A"}


def test_quotes_in_csv_do_not_swallow_rows(folder: Folder) -> None:
    text = (
        'user,item,title\nu,1,12" single\nu,2,7" single\nu,3,"Weird Al" hits\nu,4,"two\nlines"\nu,,E\nu,6,"a ""b"""\n'
    )
    for name, content in (
        ("log.csv", text.encode()),
        ("log.csv.gz", gzip.compress(text.encode())),
        ("log.csv.zst", zstandard.compress(text.encode())),
    ):
        raw, report = folder.read(content, name=name)
        assert dict(raw.titles.iter_rows()) == {"1": '12" single', "2": '7" single', "4": "two lines", "6": 'a "b"'}
        assert report.rows == 6
        # The line is that of the file, though a record before it has two.
        assert report.examples == ["line 4: a quote that is not closed or not doubled", "line 7: no item"]


def test_lines_are_counted_over_blank_ones_and_these_are_no_rows(folder: Folder) -> None:
    _, report = folder.read("\n\nuser,item,title\n\nu,1,A\n\n\nu,,B\n\n")
    assert (report.rows, report.examples) == (2, ["line 8: no item"])
    _, report = folder.read('{"user": 1, "item": 1, "title": "A"}\n\n{"user": 1}\n', name="log.jsonl")
    assert (report.rows, report.examples) == (2, ["line 3: no item"])


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ('"user"\t"item"\t"title"\n"u"\t"1"\t"A ""b"" c"\n"u"\t"2"\t"D"\n', {"1": 'A "b" c', "2": "D"}),
        ('user\titem\ttitle\nu\t1\t"A ""b"" c"\nu\t2\tD\n', {"1": 'A "b" c', "2": "D"}),
        ('user\titem\ttitle\n"u"\t"1"\t"A"\n"u"\t"2"\t"D"\n', {"1": "A", "2": "D"}),
        ('user\titem\ttitle\nu\t1\t12" single\nu\t2\t"Heroes"\n', {"1": '12" single', "2": '"Heroes"'}),
        ('user\titem\ttitle\nu\t1\t"Weird Al" hits\nu\t2\tD\n', {"1": '"Weird Al" hits', "2": "D"}),
    ],
)
def test_quotes_of_tab_separated_text_are_told_by_all_of_them(
    folder: Folder, text: str, titles: dict[str, str]
) -> None:
    assert folder.titles(text, name="log.tsv") == titles


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_read_and_told(folder: Folder, separator: str) -> None:
    raw, report = folder.read("user,item,title\nu,1,A\n".replace(",", separator))
    assert raw.titles.rows() == [("1", "A")]
    assert "separated by" in report.notes[0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.csv.gz"])
def test_other_encodings_are_named_with_the_command_that_mends_them(folder: Folder, encoding: str, name: str) -> None:
    text = json.dumps({"user": "José", "item": "1", "title": "A"}, ensure_ascii=False) + "\n"
    content = (text if "jsonl" in name else "user,item,title\nJosé,1,A\n").encode(encoding)
    with pytest.raises(LlamaRecError, match=r"not in UTF-8|not text in UTF-8") as caught:
        folder.read(gzip.compress(content) if name.endswith("gz") else content, name=name)
    assert "iconv -f " in (caught.value.hint or "")


def test_latin_1_far_from_the_beginning_and_old_line_ends_are_told(folder: Folder) -> None:
    with pytest.raises(LlamaRecError, match="not text in UTF-8"):
        folder.read(("user,item,title\n" + "u,1,A\n" * 20_000 + "u,2,José\n").encode("latin-1"))
    with pytest.raises(LlamaRecError, match="carriage returns"):
        folder.read("user,item,title\ru,1,A\r")
    with pytest.raises(LlamaRecError, match="zero bytes"):
        folder.read(b"user,item,title\nu,1,A\x00\x00\x00\n")


def test_known_sets_in_other_encodings_are_refused(raw_folder: Path) -> None:
    movies = (raw_folder / "movies.csv").read_text()
    for encoding, content in (("utf-16", movies), ("latin-1", movies + "99,José,Drama\n")):
        (raw_folder / "movies.csv").write_bytes(content.encode(encoding))
        with pytest.raises(LlamaRecError, match=r"not in UTF-8|not text in UTF-8"):
            read_raw_log(raw_folder)


def test_metadata_that_is_nested_deeply_has_no_title(tmp_path: Path) -> None:
    (tmp_path / "ratings_Beauty.csv").write_text("U1,B1,5.0,100\n")
    (tmp_path / "meta_Beauty.json").write_text("[" * 100_000 + '\n{"asin": "B1", "title": "Soap"}\n')
    assert dict(read_raw_log(tmp_path).titles.iter_rows())["B1"] == "Soap"


@pytest.mark.parametrize("missing", ["NaN", "nan", "NULL", "null", "None", "NA", "N/A", "<NA>", "\\N", ""])
def test_what_says_that_nothing_is_there_is_missing(folder: Folder, missing: str) -> None:
    raw, report = folder.read(f"user,item,title\nu,1,A\n{missing},1,A\nu,{missing},A\nu,2,{missing}\n")
    assert raw.titles.rows() == [("1", "A")]
    assert {user for user, _, _ in raw.interactions.iter_rows()} == {"u"}
    assert (report.bad_rows, report.untitled_items, report.unmatched_rows) == (2, 1, 1)


def test_ids_that_pandas_made_floats_of_join(folder: Folder, tmp_path: Path) -> None:
    for log, items in (
        ("user,item\n1.0,3.0\n2,4.0\n", "item,title\n3,A\n4,B\n"),
        ("user,item\n1.0,3\n2,4\n", "item,title\n3.0,A\n4.0,B\n"),
        ("user,item\n1.0,3.0\n2,4.0\n", "item,title\n3.0,A\n4.0,B\n"),
    ):
        raw, report = folder.read(log, items)
        assert raw.interactions.select("user", "item").rows() == [("1", "3"), ("2", "4")]
        assert (raw.titles.rows(), report.unmatched_rows) == ([("3", "A"), ("4", "B")], 0)
    # Where they are no integers, they are what they are.
    raw, _ = folder.read("user,item\nu,1.0\nu,1.5\n", "item,title\n1.0,A\n1.5,B\n")
    assert raw.interactions["item"].to_list() == ["1.0", "1.5"]
    pl.DataFrame({"user": [1.0, None], "item": [3.0, 4.0], "title": ["A", "B"]}).write_parquet(tmp_path / "a.parquet")
    raw, report = read_tables(tmp_path / "a.parquet", None, TableOptions())
    assert (raw.interactions.rows(), report.examples) == ([("1", "3", 0)], ["row 2: no user"])


def test_ids_that_json_cannot_hold_are_not_made_one(folder: Folder) -> None:
    records = [{"user": 10**29 + number, "item": 1, "title": "A"} for number in (1, 2)]
    records += [{"user": 12345678901234567890, "item": 1, "title": "A"}]
    raw, report = folder.read("".join(json.dumps(record) + "\n" for record in records), name="log.jsonl")
    assert raw.interactions["user"].to_list() == ["12345678901234567890"]
    assert "more digits" in report.examples[0]


def test_composed_and_decomposed_characters_are_the_same(folder: Folder) -> None:
    raw, report = folder.read("user,item\nJose\u0301,e\u0301\nJosé,é\n", "id,title\né,Ame\u0301lie\n")
    assert raw.interactions.rows() == [("José", "é", 0), ("José", "é", 1)]
    assert (raw.titles.rows(), report.unmatched_rows) == ([("é", "Amélie")], 0)


def test_every_column_that_is_taken_is_named_with_an_example(folder: Folder) -> None:
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


def test_a_name_that_is_the_customer_s_is_no_title(folder: Folder) -> None:
    log = "user,item,name\n" + "".join(f"u{user},{item},Customer {user}\n" for user in range(3) for item in range(4))
    with pytest.raises(LlamaRecError, match="does not contain titles: 4 of 4 items have several") as caught:
        folder.read(log)
    assert "`title_column`" in (caught.value.hint or "")
    assert len(folder.titles(log, title_column="name")) == 4
    assert folder.titles(log, "id,title\n0,A\n1,B\n") == {"0": "A", "1": "B"}


@pytest.mark.parametrize(
    ("log", "items", "options", "sentence", "hint"),
    [
        (LOG, "code,title\n1,A\n", {}, "usual name for items", "`items_id_column`"),
        (LOG, "code,title\n1,A\n", {"items_id_column": "cod"}, "did you mean code", "`items_id_column`"),
        (LOG, None, {"items_id_column": "code"}, "column of a file of items", "`items`"),
        ('"user,item,title"\n"u,1,A"\n', None, {}, "each line is quoted as a whole", "around fields"),
        ("who:what\na:b\n", None, {}, "usual name for users", "separated by commas"),
        ("user,item,title,time\nu,1,A,31/12/24\n", None, {}, "time is not a time", "`time_format`"),
        ("user,item,title\nu,1,A\n", None, {"time_format": "%Y"}, "no column of times", "`time_column`"),
        ("user,item,title,time\nu,1,A,01/02/2024\n", None, {}, "are ambiguous", '"%d/%m/%Y"'),
    ],
)
def test_the_hint_follows_the_cause(
    folder: Folder, log: str, items: str | None, options: dict[str, str], sentence: str, hint: str
) -> None:
    with pytest.raises(LlamaRecError) as caught:
        folder.read(log, items, **options)
    assert sentence in caught.value.sentence
    assert hint in (caught.value.hint or "")


def test_the_catalogue_may_call_its_ids_id_or_anything(folder: Folder) -> None:
    assert folder.titles("user,item_id\nu,1\n", "id,title\n1,A\n") == {"1": "A"}
    assert folder.titles("user,item_id\nu,1\n", "code,id,title\n1,x,A\n", items_id_column="code") == {"1": "A"}
    # What is named for the interactions counts in the catalogue too, if it is there.
    assert folder.titles("user,code\nu,1\n", "code,id,title\n1,x,A\n", item_column="code") == {"1": "A"}


def test_ids_that_do_not_agree_are_shown_three_of_each(folder: Folder) -> None:
    log = "user,item\n" + "".join(f"u,{number}\n" for number in range(1, 6))
    raw, report = folder.read(log, "item,title\n" + "".join(f"{number:03},T\n" for number in range(1, 6)))
    with pytest.raises(LlamaRecError) as caught:
        prepare(raw, min_count=1)
    for shown in ("1, 2, 3", "001, 002, 003", "leading zeros"):
        assert shown in (caught.value.hint or "")
        assert shown in (report.unmatched or "")
    raw, _ = folder.read(log, "item,title\n" + "".join(f"{number},T\n" for number in range(1, 6)))
    with pytest.raises(LlamaRecError) as caught:
        prepare(raw, min_count=9)
    assert "`min_count`" in (caught.value.hint or "")


def test_repeats_among_next_items_are_counted(folder: Folder) -> None:
    raw, _ = folder.read("user,item,title\nu,1,A\nu,2,B\nu,1,A\nu,1,A\nv,1,A\nv,2,B\n")
    assert prepare(raw, min_count=1).repeated_next_items() == 2
