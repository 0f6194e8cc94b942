"""Files in other encodings are refused, with the command that converts them."""

import gzip
import json
from pathlib import Path

import pytest
from table_folder import TableFolder

from llamarec_cli.data.readers import read_raw_log
from llamarec_cli.errors import LlamaRecError


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.csv.gz"])
def test_other_encodings_are_refused_with_the_command_to_convert(folder: TableFolder, encoding: str, name: str) -> None:
    text = json.dumps({"user": "José", "item": "1", "title": "A"}, ensure_ascii=False) + "\n"
    content = (text if "jsonl" in name else "user,item,title\nJosé,1,A\n").encode(encoding)
    with pytest.raises(LlamaRecError, match=r"not in UTF-8|not text in UTF-8") as caught:
        folder.read(gzip.compress(content) if name.endswith("gz") else content, name=name)
    assert "iconv -f " in (caught.value.hint or "")


def test_late_latin_1_carriage_returns_and_zero_bytes_are_refused(folder: TableFolder) -> None:
    with pytest.raises(LlamaRecError, match="not text in UTF-8"):
        folder.read(("user,item,title\n" + "u,1,A\n" * 20_000 + "u,2,José\n").encode("latin-1"))
    with pytest.raises(LlamaRecError, match="carriage returns"):
        folder.read("user,item,title\ru,1,A\r")
    with pytest.raises(LlamaRecError, match="zero bytes"):
        folder.read(b"user,item,title\nu,1,A\x00\x00\x00\n")


def test_known_data_sets_in_other_encodings_are_refused(raw_folder: Path) -> None:
    movies = (raw_folder / "movies.csv").read_text()
    for encoding, content in (("utf-16", movies), ("latin-1", movies + "99,José,Drama\n")):
        (raw_folder / "movies.csv").write_bytes(content.encode(encoding))
        with pytest.raises(LlamaRecError, match=r"not in UTF-8|not text in UTF-8"):
            read_raw_log(raw_folder)
