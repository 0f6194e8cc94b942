"""Logs for TensorBoard, with the real package where it is installed and with a fake that records calls."""

import errno
import os
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.train.tensorboard import metrics_log, need_log_folder


def test_a_missing_package_is_reported_before_anything_is_made(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from llamarec_cli.cli.app import app

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    result = CliRunner().invoke(app, ["train", "ranker", "--dataset", "games", "--tensorboard", str(tmp_path / "logs")])
    assert result.exit_code == 1
    assert "which is not installed" in result.stderr
    assert "pip install tensorboard" in result.stderr
    assert not home.exists()


class Recorder:
    """Stands in for a SummaryWriter."""

    made: list["Recorder"]

    def __init__(self, folder: str, purge_step: int | None) -> None:
        self.purge_step = purge_step
        self.scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.made.append(self)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars[name].append((step, value))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    module = ModuleType("torch.utils.tensorboard")
    Recorder.made = []
    module.SummaryWriter = Recorder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return Recorder.made


def test_metrics_are_logged_at_their_steps(recorded: list[Recorder], tmp_path: Path) -> None:
    with metrics_log(tmp_path / "logs", 4) as log:
        log(5, {"train/loss": 1.0})
        log(6, {"train/loss": 0.5, "train/learning_rate": 1e-4})
    (writer,) = recorded
    assert writer.purge_step == 5
    assert writer.scalars == {"train/loss": [(5, 1.0), (6, 0.5)], "train/learning_rate": [(6, 1e-4)]}
    with metrics_log(None, 0) as log:
        log(1, {"train/loss": 1.0})
    assert len(recorded) == 1


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("")
    for folder in ("file/logs", "file", "x" * 300, "a\0b"):
        with pytest.raises(LlamaRecError, match="Metrics cannot be logged"):
            need_log_folder(tmp_path / folder)
        with pytest.raises(LlamaRecError), metrics_log(tmp_path / folder, 0):
            pass


def test_a_later_write_error_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writing = pytest.importorskip("tensorboard.summary.writer.event_file_writer")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        pytest.raises(LlamaRecError, match=r"disk is full: .*logs"),
        metrics_log(tmp_path / "logs", 0) as log,
        monkeypatch.context() as patch,
    ):
        patch.setattr(writing.RecordWriter, "write", full)
        for step in range(100):
            log(step, {"train/loss": 1.0})
    assert "Traceback" not in capsys.readouterr().err


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with metrics_log(tmp_path / "logs", 0) as log:
        for step in (1, 2, 3):
            log(step, {"train/loss": 1 / step})
    with metrics_log(tmp_path / "logs", 1) as log:  # went on from step 1
        log(2, {"train/loss": 7.0})
    found = accumulator.EventAccumulator(str(tmp_path / "logs")).Reload()
    assert [(event.step, event.value) for event in found.Scalars("train/loss")] == [(1, 1.0), (2, 7.0)]
