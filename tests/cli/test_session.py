"""The context of the pipeline, and reading of text files."""

from pathlib import Path

import pytest

from llamarec_cli.cli import session
from llamarec_cli.cli.session import pipeline_context, read_text
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress


def test_a_text_file_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_bytes("\ufeff[1]".encode())
    assert read_text(path) == ("[1]", str(path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "There is no file"), (b"\xff", "is not text in UTF-8"), (b"12345", "limit of 4 bytes")],
)
def test_a_text_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, sentence: str
) -> None:
    monkeypatch.setattr(session, "MOST_BYTES", 4)
    path = tmp_path / "history.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LlamaRecError, match=sentence):
        read_text(path)


def test_only_a_process_that_speaks_prints(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for speaks in (False, True):
        with pipeline_context(auto=False, sources={"training.seed": "flag"}, speaks=speaks) as context:
            assert (context.auto, context.sources, context.store.home) == (False, {"training.seed": "flag"}, home)
            context.say("A message.")
            context.warn("A doubt.")
            context.report(Progress("train", note="step 1"))
        assert capsys.readouterr().err.splitlines() == (["A message.", "Warning: A doubt.", "step 1"] if speaks else [])
