"""Training metrics for TensorBoard, an optional dependency."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.failures import file_failure, file_failures


def need_tensorboard() -> Any:
    """Return the class `SummaryWriter`.

    Raises:
        LlamaRecError: The package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LlamaRecError(
            "`tensorboard` needs the package tensorboard, which is not installed.",
            "python -m pip install tensorboard",
        ) from error
    return SummaryWriter


def need_log_folder(folder: Path) -> None:
    """Make the log folder, so that a mistake is reported before training.

    Raises:
        LlamaRecError: It cannot be made or written.
    """
    with _write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


@contextmanager
def metrics_log(folder: Path | None, step: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Yield a function that logs metrics by name at an optimiser step.

    Args:
        folder: Log folder, made if it is missing; None to log nothing.
        step: Step from which training resumes; TensorBoard hides what an interrupted run logged after it.

    Raises:
        LlamaRecError: The package is not installed, or the folder cannot be written, now or later.
    """
    if folder is None:
        yield lambda _, __: None
        return
    make = need_tensorboard()
    with _write_errors(folder):
        writer = make(str(folder), purge_step=step + 1 if step else None)

    def write(step: int, metrics: Mapping[str, float]) -> None:
        with _write_errors(folder):
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

    with _silent_writer_thread():
        try:
            yield write
        finally:
            # Closing the writer flushes it, which may fail.
            with _write_errors(folder), writer:
                pass


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the file system into a `LlamaRecError`."""
    try:
        with file_failures(folder, "Choose another folder with `tensorboard`."):
            yield
    except LlamaRecError as error:
        raise LlamaRecError(f"Metrics cannot be logged: {error.sentence}", error.hint) from error


@contextmanager
def _silent_writer_thread() -> Iterator[None]:
    """Suppress tracebacks of the writer's thread for file errors, which are raised in the main thread as well."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is None or file_failure(failed.exc_value) is None:
            before(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
