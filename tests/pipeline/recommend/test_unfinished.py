"""`OUTPUT.partial`: continued with the same recipe alone, by one process alone, whenever the run was killed."""

from itertools import count
from pathlib import Path

import pytest
from fake_recommender import Fake, files_in, run, write_users
from killing import killed_at

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.recommend.unfinished import begin, held, holds_records


def test_a_partial_output_of_other_options_is_refused(context: Context, tmp_path: Path) -> None:
    source, output = write_users(tmp_path / "users.jsonl"), tmp_path / "recs.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(context, source, output, Fake(dies_at=5), top=3)
    begun = (tmp_path / "recs.jsonl.partial").read_bytes()
    with pytest.raises(LlamaRecError, match="other options"):
        run(context, source, output, resume=True, top=4)
    assert (tmp_path / "recs.jsonl.partial").read_bytes() == begun
    assert run(context, source, output, resume=True, top=3).users == 30
    assert files_in(tmp_path) == ["recs.jsonl", "users.jsonl"]


def test_a_partial_output_of_another_input_of_the_same_length_is_refused(context: Context, tmp_path: Path) -> None:
    source, output = write_users(tmp_path / "users.jsonl"), tmp_path / "recs.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(context, source, output, Fake(dies_at=5))
    begun = source.read_text()
    source.write_text(begun.replace("u7", "u8"))
    with pytest.raises(LlamaRecError, match="was begun with another input"):
        run(context, source, output, resume=True)
    source.write_text(begun)
    assert run(context, source, output, resume=True).users == 30


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_run_killed_before_any_step_is_resumed_and_leaves_nothing(
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


def test_a_partial_output_without_a_record_is_overwritten(context: Context, tmp_path: Path) -> None:
    source, output = write_users(tmp_path / "users.jsonl", 3), tmp_path / "recs.jsonl"
    for left in ("", '{"begun_with": {"top', '{"begun_with": {"top": 7}}\n', '{"begun_with": {"top": 7}}\n{"li'):
        for options in ({}, {"resume": True}, {"replace": True}):
            (tmp_path / "recs.jsonl.partial").write_text(left)
            assert run(context, source, output, **options).users == 3
            output.unlink()


def test_two_processes_do_not_write_one_output(context: Context, tmp_path: Path) -> None:
    source, output = write_users(tmp_path / "users.jsonl", 3), tmp_path / "recs.jsonl"
    with held(tmp_path / "recs.jsonl.partial", output) as stream:
        begin(stream, {})
        for options in ({}, {"resume": True}, {"replace": True}):
            with pytest.raises(LlamaRecError, match="Another process is writing"):
                run(context, source, output, **options)


@pytest.mark.parametrize("content", [b"", b'{"begun', b'{"begun_with": {"ranker": "x', b'{"begun_with": {}}\n'])
def test_a_header_alone_is_no_loss(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out.partial").write_bytes(content)
    assert not holds_records(tmp_path / "out.partial")


@pytest.mark.parametrize(
    "content",
    [
        b"\x94",
        b" ",
        b"a text of another program",
        b'{"begun_with": {}}\n{"line": 1}\n',
        b'{"begun_wiXh": {}}\n',
        b'{"begun_with": {}}\r{"line": 1}',
        b'{"begun_with": {}}{"line": 1}',
    ],
)
def test_records_and_files_of_other_programs_would_be_lost(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out.partial").write_bytes(content)
    assert holds_records(tmp_path / "out.partial")
