"""Separators, quotes and malformed rows of CSV and TSV."""

import gzip
from pathlib import Path

import pytest
import zstandard
from table_folder import TableFolder

from llamarec_cli.data.tables import TableOptions, read_tables
from llamarec_cli.errors import LlamaRecError

LOG = "user,item\nu,1\nu,2\n"


def test_a_row_with_an_unquoted_comma_is_invalid(folder: TableFolder) -> None:
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


def test_malformed_quotes_in_csv_spoil_only_their_row(folder: TableFolder) -> None:
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


def test_line_numbers_count_blank_lines(folder: TableFolder) -> None:
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
def test_quotes_in_tsv_are_syntax_only_if_all_are_well_formed(
    folder: TableFolder, text: str, titles: dict[str, str]
) -> None:
    assert folder.titles(text, name="log.tsv") == titles


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_detected_and_reported(folder: TableFolder, separator: str) -> None:
    raw, report = folder.read("user,item,title\nu,1,A\n".replace(",", separator))
    assert raw.titles.rows() == [("1", "A")]
    assert "separated by" in report.notes[0]


def test_a_tab_separated_title_may_contain_quotes(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('user\titem\ttitle\nu\ta\t12" single\nu\tb\t"Weird Al" hits\n')
    raw, _ = read_tables(tmp_path / "a.tsv", None, TableOptions())
    assert raw.titles["title"].to_list() == ['12" single', '"Weird Al" hits']
