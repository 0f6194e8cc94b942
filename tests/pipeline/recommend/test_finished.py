"""Resuming a complete output: nothing to do if it has the same recipe, an error if not."""

from pathlib import Path

import pytest
from fake_recommender import Fake, files_in, run, write_users

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_complete_output_is_counted_and_left_as_it_is(context: Context, tmp_path: Path, form: str) -> None:
    source, output = tmp_path / "users.jsonl", tmp_path / f"recs.{form}"
    source.write_text('["a"]\n{broken\n["lost"]\n')
    run(context, source, output)
    before = output.read_bytes()
    again = Fake(broken=True)
    summary = run(context, source, output, again, resume=True)
    assert (summary.users, summary.errors, again.calls) == (3, 2, 0)
    assert output.read_bytes() == before


def test_a_complete_output_of_other_users_or_options_is_refused(context: Context, tmp_path: Path) -> None:
    source, output = tmp_path / "users.jsonl", tmp_path / "recs.jsonl"
    source.write_text('["a"]\n["b"]\n')
    run(context, source, output, top=3)
    before = output.read_bytes()
    with pytest.raises(LlamaRecError, match="other options"):
        run(context, source, output, resume=True, top=4)
    # As many lines as before, of other users.
    source.write_text('["c"]\n["d"]\n')
    with pytest.raises(LlamaRecError, match="made with another input"):
        run(context, source, output, resume=True, top=3)
    assert output.read_bytes() == before
    moved = output.rename(tmp_path / "moved.jsonl")
    with pytest.raises(LlamaRecError, match="nothing tells"):
        run(context, source, moved, resume=True, top=3)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_complete_output_of_another_number_of_users_is_refused(context: Context, tmp_path: Path, form: str) -> None:
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
def test_a_file_that_is_not_an_output_is_refused(context: Context, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LlamaRecError, match="does not fit the input"):
        run(context, write_users(tmp_path / "users.jsonl", 1), tmp_path / name, resume=True)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_run_killed_between_its_last_two_steps_is_resumed(context: Context, tmp_path: Path, form: str) -> None:
    source, output = write_users(tmp_path / "users.jsonl"), tmp_path / f"recs.{form}"
    run(context, source, tmp_path / "recs.jsonl")
    run(context, source, output)
    before = output.read_bytes()
    (tmp_path / "recs.jsonl").rename(tmp_path / f"recs.{form}.partial")
    again = Fake()
    assert run(context, source, output, again, resume=True).users == 30
    assert (again.calls, output.read_bytes()) == (0, before)
    assert files_in(tmp_path) == [output.name, "users.jsonl"]
