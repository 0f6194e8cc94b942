"""Raw ids of two tables are compared in one form."""

import json
from pathlib import Path

import polars as pl
import pytest
from table_folder import TableFolder

from llamarec_cli.data.dataset import prepare
from llamarec_cli.data.tables import TableOptions, read_tables
from llamarec_cli.errors import LlamaRecError


@pytest.mark.parametrize("missing", ["NaN", "nan", "NULL", "null", "None", "NA", "N/A", "<NA>", "\\N", ""])
def test_spellings_of_a_missing_value(folder: TableFolder, missing: str) -> None:
    raw, report = folder.read(f"user,item,title\nu,1,A\n{missing},1,A\nu,{missing},A\nu,2,{missing}\n")
    assert raw.titles.rows() == [("1", "A")]
    assert {user for user, _, _ in raw.interactions.iter_rows()} == {"u"}
    assert (report.bad_rows, report.untitled_items, report.unmatched_rows) == (2, 1, 1)


def test_integer_ids_written_as_floats_match(folder: TableFolder, tmp_path: Path) -> None:
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


def test_json_integers_beyond_64_bits_are_not_merged(folder: TableFolder) -> None:
    records = [{"user": 10**29 + number, "item": 1, "title": "A"} for number in (1, 2)]
    records += [{"user": 12345678901234567890, "item": 1, "title": "A"}]
    raw, report = folder.read("".join(json.dumps(record) + "\n" for record in records), name="log.jsonl")
    assert raw.interactions["user"].to_list() == ["12345678901234567890"]
    assert "more digits" in report.examples[0]


def test_ids_and_titles_are_compared_in_nfc(folder: TableFolder) -> None:
    raw, report = folder.read("user,item\nJose\u0301,e\u0301\nJosé,é\n", "id,title\né,Ame\u0301lie\n")
    assert raw.interactions.rows() == [("José", "é", 0), ("José", "é", 1)]
    assert (raw.titles.rows(), report.unmatched_rows) == ([("é", "Amélie")], 0)


def test_ids_that_do_not_match_are_shown(folder: TableFolder) -> None:
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
