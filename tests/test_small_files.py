"""Small files are read in one piece."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llamarec_cli import small_files
from llamarec_cli.cli.app import app
from llamarec_cli.config import read_settings
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.small_files import read_note


def test_devices_pipes_and_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, sentence in ((tmp_path / "pipe", "is a pipe"), (Path("/dev/zero"), "is a device")):
        with pytest.raises(LlamaRecError, match=sentence):
            small_files.read_small(path)
        with pytest.raises(LlamaRecError, match=sentence):
            read_settings(path, {})
        result = CliRunner().invoke(app, ["recommend", "--history", str(path)])
        assert (result.exit_code, result.stdout) == (1, "")
        assert sentence in result.stderr
    monkeypatch.setattr(small_files, "MOST_BYTES", 10)
    (tmp_path / "large").write_text("x" * 11)
    with pytest.raises(LlamaRecError, match="larger than 10 bytes"):
        small_files.read_small(tmp_path / "large")


@pytest.mark.parametrize("text", ["[" * 100_000, "a = " + "[" * 100_000, f"a = {'1' * 5000}", "a." * 3 + "b = {"])
def test_a_malformed_configuration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(LlamaRecError, match=r"is not TOML|nests lists too deeply"):
        read_settings(tmp_path / "c.toml", {})
    # In a variable it is text, and the field that it is given to refuses it.
    assert isinstance(read_settings(None, {"LLAMAREC_TRAINING_SEED": text}).tables["training"]["seed"], str)


def test_a_note_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    note = tmp_path / "note.json"
    assert read_note(note) is None
    for content in (b"", b"[1]", b"{", b"\xff", b"[" * 100_000):
        note.write_bytes(content)
        assert read_note(note) is None
    note.write_text('{"a": 1}')
    assert read_note(note) == {"a": 1}
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    assert read_note(tmp_path / "zero") is read_note(tmp_path / "pipe") is None
