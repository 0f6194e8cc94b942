"""Formats and columns of tables; each error has the hint of its cause."""

import json
from pathlib import Path

import pytest
from table_folder import TableFolder

from llamarec_cli.data.encodings import UnreadableError
from llamarec_cli.data.tables import TableOptions, read_tables
from llamarec_cli.errors import LlamaRecError, UsageError

LOG = "user,item\nu,1\nu,2\n"


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
def test_the_hint_depends_on_the_cause(
    folder: TableFolder, log: str, items: str | None, options: dict[str, str], sentence: str, hint: str
) -> None:
    with pytest.raises(LlamaRecError) as caught:
        folder.read(log, items, **options)
    assert sentence in caught.value.sentence
    assert hint in (caught.value.hint or "")


def test_the_column_of_ids_in_the_items(folder: TableFolder) -> None:
    assert folder.titles("user,item_id\nu,1\n", "id,title\n1,A\n") == {"1": "A"}
    assert folder.titles("user,item_id\nu,1\n", "code,id,title\n1,x,A\n", items_id_column="code") == {"1": "A"}
    # What is named for the interactions counts in the catalogue too, if it is there.
    assert folder.titles("user,code\nu,1\n", "code,id,title\n1,x,A\n", item_column="code") == {"1": "A"}


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
def test_an_unreadable_table_is_refused(
    tmp_path: Path, name: str, text: str, options: dict[str, object], sentence: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises((LlamaRecError, UsageError, UnreadableError), match=sentence):
        read_tables(path, None, TableOptions(**options))  # type: ignore[arg-type]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match="no file"):
        read_tables(tmp_path / "nowhere.csv", None, TableOptions())


def test_special_characters_in_names_of_columns_and_files(tmp_path: Path) -> None:
    (tmp_path / "log[1].csv").write_text("row,user,item,title,*\n1,u,i,T,x\n")
    (tmp_path / "log1.csv").write_text("row,user,item,title,*\n1,v,i,T,x\n")
    raw, _ = read_tables(tmp_path / "log[1].csv", None, TableOptions())
    assert raw.interactions.rows() == [("u", "i", 0)]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"us'er\\": "u", "item": "i", "title": "T"}) + "\n")
    with pytest.raises(UsageError, match="cannot be read"):
        read_tables(path, None, TableOptions(user_column="us'er\\"))


def test_keys_missing_in_the_first_record_are_found(folder: TableFolder) -> None:
    records = [{"user": "u", "item": "a", "title": "A"}, {"user": "u", "item": "b", "title": "B", "ts": 9}]
    raw, _ = folder.read("".join(json.dumps(record) + "\n" for record in records), name="log.jsonl")
    assert raw.interactions["item"].to_list() == ["b"]
