"""Model folders to spoil, and a trace that planted code must not leave."""

import builtins
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_folder_faults import OPENED


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that planted code creates. Fails if it exists, a planted file was opened, or a question was asked."""
    questions: list[str] = []
    monkeypatch.setattr(builtins, "input", lambda question="": questions.append(question) or "y")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 99))
    path = tmp_path / "trace"
    OPENED.paths.clear()
    OPENED.folder = tmp_path
    yield path
    OPENED.folder = None
    assert not path.exists()
    assert OPENED.paths == []
    assert questions == []


@pytest.fixture
def base(tmp_path: Path, tiny_base_folder: Path) -> Path:
    """A base model folder that loads."""
    folder = tmp_path / "base"
    folder.mkdir()
    for path in tiny_base_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder
