"""A file of users: one record each, in order, none lost and none twice."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from fake_recommender import Fake, run, write_users

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.pipeline.recommend import file as module


def test_one_record_a_user_in_order(context: Context, tmp_path: Path) -> None:
    source = tmp_path / "users.jsonl"
    source.write_text('["a", "b"]\n\n{"user": 7, "history": ["c"]}\n{broken\n{"user": 8, "history": ["lost"]}\n')
    summary = run(context, source, tmp_path / "recs.jsonl")
    assert (summary.users, summary.errors) == (4, 2)
    records = [json.loads(line) for line in (tmp_path / "recs.jsonl").read_text().splitlines()]
    assert [record["line"] for record in records] == [1, 3, 4, 5]
    assert [item["id"] for item in records[0]["items"]] == ["b", "a"]
    assert records[1]["user"] == 7
    assert "line 4 is not JSON" in records[2]["error"]
    assert "items" not in records[3]


@pytest.mark.parametrize("at", [1, 2, 17, 30])
@pytest.mark.parametrize("torn", ["", '{"line": 18, "us'])
def test_killed_and_resumed_it_writes_the_same_bytes(context: Context, tmp_path: Path, at: int, torn: str) -> None:
    source = write_users(tmp_path / "users.jsonl")
    run(context, source, tmp_path / "whole.jsonl")
    output = tmp_path / "recs.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(context, source, output, Fake(dies_at=at))
    assert not output.exists()
    with (tmp_path / "recs.jsonl.partial").open("a") as partial:
        partial.write(torn)
    rest = Fake()
    assert run(context, source, output, rest, resume=True).users == 30
    assert rest.calls == 30 - (at - 1)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not (tmp_path / "recs.jsonl.partial").exists()


@pytest.mark.parametrize("written", [0, 1, 3, 4, 17, 29, 30])
def test_resumed_users_are_ranked_with_the_same_others(context: Context, tmp_path: Path, written: int) -> None:
    source, output = write_users(tmp_path / "users.jsonl"), tmp_path / "recs.jsonl"
    run(context, source, tmp_path / "whole.jsonl", Fake(at_once=4))
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    assert ["2 together" in line for line in lines] == [False] * 28 + [True] * 2
    (tmp_path / "recs.jsonl.partial").write_text("".join(lines[:written]))
    assert run(context, source, output, Fake(at_once=4), resume=True).users == 30
    assert output.read_text() == "".join(lines)


def test_stdin_is_answered_record_by_record(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(write_users(tmp_path / "users.jsonl", 3).read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    run(context, Path("-"), tmp_path / "recs.jsonl", Fake(at_once=4))
    assert (tmp_path / "recs.jsonl").read_text().count("1 together") == 6


def test_the_input_is_never_overwritten(context: Context, tmp_path: Path) -> None:
    source = write_users(tmp_path / "users.jsonl")
    before = source.read_bytes()
    with pytest.raises(UsageError, match="is the input"):
        run(context, source, source, replace=True)
    assert source.read_bytes() == before


def test_an_input_that_is_the_partial_output_is_refused(context: Context, tmp_path: Path) -> None:
    write_users(tmp_path / "users.jsonl").rename(tmp_path / "recs.jsonl.partial")
    (tmp_path / "users.jsonl").symlink_to("recs.jsonl.partial")
    before = (tmp_path / "users.jsonl").read_bytes()
    with pytest.raises(UsageError, match="is the input as well"):
        run(context, tmp_path / "users.jsonl", tmp_path / "recs.jsonl", replace=True)
    assert (tmp_path / "users.jsonl").read_bytes() == before


def test_nothing_is_left_of_a_run_that_failed_before_its_first_record(context: Context, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LlamaRecError, match="no column called history"):
        run(context, tmp_path / "users.csv", tmp_path / "recs.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["users.csv"]


class Unloaded(Fake):
    """Fails the test when it is used."""

    def disable_cache(self) -> None:
        pytest.fail("loaded")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("folder.jsonl", "is a folder"),
        ("pipe.jsonl", "is not a regular file"),
        ("x" * 240 + ".jsonl", "File name too long"),
    ],
)
def test_an_impossible_output_is_refused_before_anything_is_loaded(
    context: Context, tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    for options in ({}, {"replace": True}, {"resume": True}):
        with pytest.raises(LlamaRecError, match=sentence):
            run(context, write_users(tmp_path / "u.jsonl"), tmp_path / name, Unloaded(), **options)


def test_records_are_read_lazily(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_users(tmp_path / "users.jsonl", 200)
    read: list[int] = []
    entries = module.read_entries

    def counted(path: Path) -> Any:
        for entry in entries(path):
            read.append(entry.line)
            yield entry

    monkeypatch.setattr(module, "read_entries", counted)
    with pytest.raises(KeyboardInterrupt):
        run(context, source, tmp_path / "recs.jsonl", Fake(dies_at=5))
    assert len(read) == 5


@pytest.mark.parametrize(
    ("source", "output", "options", "sentence"),
    [
        ("users.jsonl", "begun.jsonl", {}, "was left by an interrupted run"),
        ("users.jsonl", "foreign.jsonl", {"resume": True}, "does not fit the input"),
        ("users.jsonl", "garbage.jsonl", {"resume": True}, "does not fit the input"),
        ("nowhere.jsonl", "recs.jsonl", {}, "no file"),
        ("users.jsonl", "recs.txt", {}, "must end in"),
        ("users.xls", "recs.jsonl", {}, "must end in"),
        ("users.jsonl", "there.jsonl", {}, "exists"),
        ("users.jsonl", "-", {"resume": True}, "needs an output"),
        ("-", "recs.jsonl", {"resume": True}, "needs an input"),
        ("users.jsonl", "recs.jsonl", {"engine": "cluster"}, "no engine called cluster"),
        ("other.csv", "recs.jsonl", {}, "no column called history"),
        ("broken.parquet", "recs.jsonl", {}, "cannot be read as Parquet"),
        ("users.jsonl", "no-folder/recs.jsonl", {}, "no folder"),
    ],
)
def test_usage_errors_name_the_file_or_the_argument(
    context: Context, tmp_path: Path, source: str, output: str, options: dict[str, Any], sentence: str
) -> None:
    write_users(tmp_path / "users.jsonl")
    (tmp_path / "there.jsonl").write_text("precious\n")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.parquet").write_text("no parquet")
    (tmp_path / "begun.jsonl.partial").write_text('{"line": 1}\n')
    (tmp_path / "foreign.jsonl.partial").write_text('{"line": 7}\n')
    (tmp_path / "garbage.jsonl.partial").write_text("garbage\n")
    target = Path(output) if output == "-" else tmp_path / output
    with pytest.raises(LlamaRecError, match=sentence):
        run(context, Path(source) if source == "-" else tmp_path / source, target, **options)
    assert (tmp_path / "there.jsonl").read_text() == "precious\n"


def test_a_missing_base_model_is_an_error_of_the_run_and_not_of_a_user(context: Context, tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match="cannot be had"):
        run(context, write_users(tmp_path / "users.jsonl"), tmp_path / "recs.jsonl", Fake(broken=True))
    assert not list(tmp_path.glob("recs.jsonl*"))
