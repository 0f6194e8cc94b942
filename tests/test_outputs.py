"""Output files are checked before the work and written atomically."""

import os
from pathlib import Path

import pytest

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.outputs import need_output, written_whole


def test_an_impossible_output_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, sentence in (
        ("", "is a folder"),
        ("pipe", "is not a regular file"),
        ("nowhere/x", "There is no folder"),
    ):
        with pytest.raises(LlamaRecError, match=sentence) as raised:
            need_output(tmp_path / place, "change `output`")
        assert "hange `output`" in str(raised.value.hint)
    with pytest.raises(LlamaRecError, match="File name too long"):
        need_output(tmp_path / ("x" * 250), "change `output`")
    need_output(tmp_path / ("x" * 247), "change `output`")


def test_an_output_appears_only_if_the_block_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "out.md"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_whole(path, "change `output`") as partial:
        partial.write_text("new")
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["out.md"]
    assert path.read_text() == "old"
    with written_whole(path, "change `output`") as partial:
        partial.write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["out.md"]
    assert path.read_text() == "new"


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.json").symlink_to(tmp_path / "nowhere" / "at-all")
    with pytest.raises(LlamaRecError, match="symbolic link to a file that does not exist"):
        need_output(tmp_path / "out.json", "change `output`")
