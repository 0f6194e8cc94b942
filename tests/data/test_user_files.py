"""Files of users: each record has its user or its own fault."""

import io
import json
import os
from pathlib import Path

import polars as pl
import pytest

from llamarec_cli.data.user_files import check_source, read_entries
from llamarec_cli.errors import LlamaRecError


def entries(path: Path, content: str | bytes) -> list[tuple[int, object, str, str | None]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(entry.line, entry.user, entry.history, entry.fault) for entry in read_entries(path)]


@pytest.mark.parametrize("name", ["user", "user_id", "User ID", "customer", "visitorId"])
def test_users_have_the_names_that_prepare_knows(tmp_path: Path, name: str) -> None:
    text = json.dumps({name: "u1", "history": ["a"]})
    assert entries(tmp_path / "a.jsonl", text) == [(1, "u1", text, None)]
    assert entries(tmp_path / "a.csv", f'History,{name}\n"[1, 2]",u1\n') == [(2, "u1", "[1, 2]", None)]
    pl.DataFrame({name: ["u1"], "history": [["a"]]}).write_parquet(tmp_path / "a.parquet")
    (entry,) = read_entries(tmp_path / "a.parquet")
    assert (entry.user, entry.history) == ("u1", '["a"]')


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_users_in_latin_1_are_not_merged(tmp_path: Path, form: str) -> None:
    lines = ["José", "Josè", "Joe"]
    text = "".join(f'{{"user": "{user}", "history": [1]}}\n' if form == "jsonl" else f"{user},[1]\n" for user in lines)
    found = entries(tmp_path / f"a.{form}", ("user,history\n" * (form == "csv") + text).encode("latin-1"))
    assert [(user, fault) for _, user, _, fault in found] == [
        (None, "is not text in UTF-8"),
        (None, "is not text in UTF-8"),
        ("Joe", None),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_refused_by_name(tmp_path: Path, encoding: str) -> None:
    for form in ("jsonl", "csv"):
        with pytest.raises(LlamaRecError, match=r"UTF-16|UTF-32|no text"):
            entries(tmp_path / f"a.{form}", 'user,history\n"a",[1]\n'.encode(encoding))


def test_an_overlong_line_spoils_only_itself(tmp_path: Path) -> None:
    found = entries(tmp_path / "a.jsonl", '["a"]\n' + '["' + "x" * 5_000_000 + '"]\n["b"]\n')
    assert [(line, fault) for line, _, _, fault in found] == [
        (1, None),
        (2, "is longer than 2,000,000 characters"),
        (3, None),
    ]


def test_malformed_rows_of_csv_spoil_only_themselves(tmp_path: Path) -> None:
    text = 'user,history\nu1,["a"]\nu2,[1,2]\n\nu3,"[""a"",\n""b""]"\nu4,"["a"]"\nu5,[5]\n,[6]\nNaN,[7]\n'
    found = entries(tmp_path / "a.csv", text)
    assert [(line, user) for line, user, _, fault in found if fault is None] == [
        (2, "u1"),
        (5, "u3"),
        (8, "u5"),
        (9, None),
        (10, None),
    ]
    assert [(line, fault.split(":")[0]) for line, _, _, fault in found if fault] == [
        (3, "has 3 fields, but the header has 2"),
        (7, "cannot be read as CSV"),
    ]


def test_nan_is_not_a_user(tmp_path: Path) -> None:
    assert entries(tmp_path / "a.jsonl", '{"user": NaN, "history": [1]}\n')[0][1] is None
    pl.DataFrame({"user": [float("nan"), 3.0], "history": ["[1]", "[2]"]}).write_parquet(tmp_path / "a.parquet")
    assert [entry.user for entry in read_entries(tmp_path / "a.parquet")] == [None, 3]


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "users.jsonl")
    with pytest.raises(LlamaRecError, match="is not a regular file"):
        check_source(tmp_path / "users.jsonl")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'\xef\xbb\xbf["a"]\r\n["\xff"]\r\n')))
    assert [(entry.line, entry.fault) for entry in read_entries(Path("-"))] == [(1, None), (2, "is not text in UTF-8")]
