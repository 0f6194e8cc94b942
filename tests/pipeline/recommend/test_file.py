"""A file of users: in order, none lost, none twice, whatever happens."""

import csv
import io
import json
import os
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from killing import killed_at

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import HistoryError, LlamaRecError, UsageError
from llamarec_cli.pipeline.recommend import file as module
from llamarec_cli.pipeline.recommend.file import recommend_file
from llamarec_cli.pipeline.recommend.recommendations import Recommendation, Recommendations
from llamarec_cli.pipeline.recommend.unfinished import begin, held


class Fake:
    """Recommends what was given, reversed; knows nothing of `lost`."""

    def __init__(self, dies_at: int | None = None, *, broken: bool = False, at_once: int = 1) -> None:
        self.calls = 0
        self.users_at_once = at_once
        self.broken = broken
        self.dies_at = dies_at

    def load_for_file(self) -> None:
        if self.broken:
            raise LlamaRecError("The base model cannot be had.", "")

    def length(self, top: int | None) -> int:
        if top == 99:
            raise UsageError("--top must be between 1 and 20, not 99.", "")
        return 10

    def recipe(self, top: int | None) -> dict[str, int | None]:
        return {"top": top}

    def say_what_is_unnamed(self) -> None:
        pass

    def recommend_many(self, histories: list[list[str]], top: int | None) -> list[Recommendations | HistoryError]:
        return [self._recommend(history, f"{len(histories)} together") for history in histories]

    def _recommend(self, history: list[str], company: str) -> Recommendations | HistoryError:
        self.calls += 1
        if self.calls == self.dies_at:
            raise KeyboardInterrupt
        if history == ["lost"]:
            return HistoryError("fake knows none of the 1 titles in this history.", "")
        items = [Recommendation(entry, f"{entry}, {company}", 0.5) for entry in reversed(history)]
        return Recommendations("fake", "fake/ranker", ["retriever"], history, [], items)


def files_in(folder: Path) -> list[str]:
    """What lies beside the home."""
    return sorted(path.name for path in folder.iterdir() if path.name != "home")


def run(context: Context, source: Path, output: Path, recommender: Any = None, **options: Any) -> Any:
    return recommend_file(context, lambda: recommender or Fake(), source, output, **options)


def write_users(path: Path, count: int = 30) -> Path:
    lines = [json.dumps({"user": f"u{user}", "history": [user, user + 1]}) for user in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


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
def test_resumed_it_ranks_the_same_users_together(context: Context, tmp_path: Path, written: int) -> None:
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


def test_what_was_begun_with_other_options_is_not_gone_on_with(context: Context, tmp_path: Path) -> None:
    source, output = write_users(tmp_path / "users.jsonl"), tmp_path / "recs.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(context, source, output, Fake(dies_at=5), top=3)
    begun = (tmp_path / "recs.jsonl.partial").read_bytes()
    with pytest.raises(LlamaRecError, match="other options"):
        run(context, source, output, resume=True, top=4)
    assert (tmp_path / "recs.jsonl.partial").read_bytes() == begun
    assert run(context, source, output, resume=True, top=3).users == 30
    assert files_in(tmp_path) == ["recs.jsonl", "users.jsonl"]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_resuming_what_is_complete_does_nothing_and_counts_it(context: Context, tmp_path: Path, form: str) -> None:
    source, output = tmp_path / "users.jsonl", tmp_path / f"recs.{form}"
    source.write_text('["a"]\n{broken\n["lost"]\n')
    run(context, source, output)
    before = output.read_bytes()
    again = Fake(broken=True)
    summary = run(context, source, output, again, resume=True)
    assert (summary.users, summary.errors, again.calls) == (3, 2, 0)
    assert output.read_bytes() == before


def test_what_is_complete_but_of_other_users_or_options_is_refused(context: Context, tmp_path: Path) -> None:
    source, output = tmp_path / "users.jsonl", tmp_path / "recs.jsonl"
    source.write_text('["a"]\n["b"]\n')
    run(context, source, output, top=3)
    before = output.read_bytes()
    with pytest.raises(LlamaRecError, match="other options"):
        run(context, source, output, resume=True, top=4)
    # As many lines as before, of other users.
    source.write_text('["c"]\n["d"]\n')
    with pytest.raises(LlamaRecError, match="made of another input"):
        run(context, source, output, resume=True, top=3)
    assert output.read_bytes() == before
    moved = output.rename(tmp_path / "moved.jsonl")
    with pytest.raises(LlamaRecError, match="nothing tells"):
        run(context, source, moved, resume=True, top=3)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_what_is_complete_but_of_another_input_is_refused(context: Context, tmp_path: Path, form: str) -> None:
    source, output = write_users(tmp_path / "users.jsonl", 3), tmp_path / f"recs.{form}"
    run(context, source, output)
    write_users(source, 4)
    before = output.read_bytes()
    with pytest.raises(LlamaRecError, match="does not fit the input"):
        run(context, source, output, resume=True)
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", ""),
        ("a.jsonl", "notes\n"),
        ("a.jsonl", "[1]\n"),
        ("a.csv", "x,y\n1,2\n"),
        ("a.parquet", "no parquet"),
    ],
)
def test_what_is_no_output_is_not_taken_for_a_complete_one(
    context: Context, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LlamaRecError, match="does not fit the input"):
        run(context, write_users(tmp_path / "users.jsonl", 1), tmp_path / name, resume=True)


def test_the_input_is_never_overwritten(context: Context, tmp_path: Path) -> None:
    source = write_users(tmp_path / "users.jsonl")
    before = source.read_bytes()
    with pytest.raises(UsageError, match="is the input"):
        run(context, source, source, replace=True)
    assert source.read_bytes() == before


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_killed_between_its_last_two_steps_it_is_resumed(context: Context, tmp_path: Path, form: str) -> None:
    source, output = write_users(tmp_path / "users.jsonl"), tmp_path / f"recs.{form}"
    run(context, source, tmp_path / "recs.jsonl")
    run(context, source, output)
    before = output.read_bytes()
    (tmp_path / "recs.jsonl").rename(tmp_path / f"recs.{form}.partial")
    again = Fake()
    assert run(context, source, output, again, resume=True).users == 30
    assert (again.calls, output.read_bytes()) == (0, before)
    assert files_in(tmp_path) == [output.name, "users.jsonl"]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("begun", [False, True])
def test_killed_before_any_step_it_is_resumed_and_nothing_is_left(
    context: Context, tmp_path: Path, form: str, begun: bool
) -> None:
    source, output = write_users(tmp_path / "users.jsonl", 3), tmp_path / f"recs.{form}"
    run(context, source, output)
    whole = output.read_bytes()
    for step in count():
        output.unlink()
        if begun:
            with pytest.raises(KeyboardInterrupt):
                run(context, source, output, Fake(dies_at=2))
        killed = killed_at(step, tmp_path, lambda: run(context, source, output, resume=begun))
        # Resumed, or made as if nothing had been there if nothing was.
        assert run(context, source, output, resume=True).users == 3
        assert output.read_bytes() == whole
        assert files_in(tmp_path) == [output.name, "users.jsonl"]
        if not killed:
            break
    assert step > 5


def test_what_was_killed_before_its_first_record_is_no_obstacle(context: Context, tmp_path: Path) -> None:
    source, output = write_users(tmp_path / "users.jsonl", 3), tmp_path / "recs.jsonl"
    for left in ("", '{"begun_with": {"top', '{"begun_with": {"top": 7}}\n', '{"begun_with": {"top": 7}}\n{"li'):
        for options in ({}, {"resume": True}, {"replace": True}):
            (tmp_path / "recs.jsonl.partial").write_text(left)
            assert run(context, source, output, **options).users == 3
            output.unlink()


def test_nothing_is_left_of_a_run_that_failed_before_its_first_record(context: Context, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LlamaRecError, match="no column called history"):
        run(context, tmp_path / "users.csv", tmp_path / "recs.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["users.csv"]


def test_another_input_of_the_same_length_is_not_gone_on_with(context: Context, tmp_path: Path) -> None:
    source, output = write_users(tmp_path / "users.jsonl"), tmp_path / "recs.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(context, source, output, Fake(dies_at=5))
    begun = source.read_text()
    source.write_text(begun.replace("u7", "u8"))
    with pytest.raises(LlamaRecError, match="was begun with another input"):
        run(context, source, output, resume=True)
    source.write_text(begun)
    assert run(context, source, output, resume=True).users == 30


def test_two_processes_do_not_write_one_output(context: Context, tmp_path: Path) -> None:
    source, output = write_users(tmp_path / "users.jsonl", 3), tmp_path / "recs.jsonl"
    with held(tmp_path / "recs.jsonl.partial", output) as stream:
        begin(stream, {})
        for options in ({}, {"resume": True}, {"replace": True}):
            with pytest.raises(LlamaRecError, match="Another process is writing"):
                run(context, source, output, **options)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("folder.jsonl", "is a folder"),
        ("pipe.jsonl", "is not a regular file"),
        ("x" * 240 + ".jsonl", "File name too long"),
    ],
)
def test_an_output_that_cannot_be_is_told_before_anything_is_loaded(
    context: Context, tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    for options in ({}, {"replace": True}, {"resume": True}):
        with pytest.raises(LlamaRecError, match=sentence):
            recommend_file(
                context, lambda: pytest.fail("loaded"), write_users(tmp_path / "u.jsonl"), tmp_path / name, **options
            )


def test_the_input_is_not_taken_for_what_an_interrupted_run_left(context: Context, tmp_path: Path) -> None:
    write_users(tmp_path / "users.jsonl").rename(tmp_path / "recs.jsonl.partial")
    (tmp_path / "users.jsonl").symlink_to("recs.jsonl.partial")
    before = (tmp_path / "users.jsonl").read_bytes()
    with pytest.raises(UsageError, match="is the input as well"):
        run(context, tmp_path / "users.jsonl", tmp_path / "recs.jsonl", replace=True)
    assert (tmp_path / "users.jsonl").read_bytes() == before


def test_csv_and_parquet_give_the_same_lists(context: Context, tmp_path: Path) -> None:
    histories = [[str(user), str(user + 1)] for user in range(5)]
    with (tmp_path / "users.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user", "history"])
        writer.writerows([f"u{place}", json.dumps(history)] for place, history in enumerate(histories))
    pl.DataFrame({"user": [f"u{place}" for place in range(5)], "history": histories}).write_parquet(
        tmp_path / "users.parquet"
    )
    found = []
    for source in ("users.csv", "users.parquet"):
        for output in ("recs.csv", "recs.parquet", "recs.jsonl"):
            run(context, tmp_path / source, tmp_path / output, replace=True)
        table = pl.read_csv(tmp_path / "recs.csv", infer_schema=False)
        assert table.equals(pl.read_parquet(tmp_path / "recs.parquet"))
        lists = [json.loads(line)["items"] for line in (tmp_path / "recs.jsonl").read_text().splitlines()]
        assert [json.loads(items) for items in table["items"]] == lists
        found.append((lists, table["user"].to_list()))
    assert found[0] == found[1]


def test_records_are_read_as_they_are_wanted(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        ("users.jsonl", "there.jsonl", {}, "there already"),
        ("users.jsonl", "-", {"resume": True}, "needs an output"),
        ("-", "recs.jsonl", {"resume": True}, "needs an input"),
        ("users.jsonl", "recs.jsonl", {"top": 99}, "--top must be"),
        ("other.csv", "recs.jsonl", {}, "no column called history"),
        ("broken.parquet", "recs.jsonl", {}, "cannot be read as Parquet"),
        ("users.jsonl", "no-folder/recs.jsonl", {}, "no folder"),
    ],
)
def test_mistakes_are_sentences(
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


def test_a_model_that_cannot_be_had_is_no_error_of_the_users(context: Context, tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match="cannot be had"):
        run(context, write_users(tmp_path / "users.jsonl"), tmp_path / "recs.jsonl", Fake(broken=True))
    assert not list(tmp_path.glob("recs.jsonl*"))


def test_odd_users_and_names_of_files_are_no_problem(context: Context, tmp_path: Path) -> None:
    source = tmp_path / "users[1].jsonl"
    source.write_text('{"user": "\\ud800", "history": [1]}\n{"user": {"id": 3}, "history": [2]}\n')
    for output in ("recs[1].csv", "recs[1].parquet", "recs[1].jsonl"):
        assert run(context, source, tmp_path / output).users == 2
