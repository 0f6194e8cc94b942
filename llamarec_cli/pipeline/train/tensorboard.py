"""Figures of a training for TensorBoard, an optional extra."""

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
    """Return the class that writes for TensorBoard.

    Raises:
        LlamaRecError: The package is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LlamaRecError(
            "--tensorboard writes with the package tensorboard, which is not installed.",
            "python -m pip install tensorboard",
        ) from error
    return SummaryWriter


def need_figures_folder(folder: Path) -> None:
    """Make the folder that figures go to, before the work whose figures they are.

    Raises:
        LlamaRecError: It cannot be made or written.
    """
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


@contextmanager
def figures_in(folder: Path | None, step: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Yield what writes figures of an optimiser step, by their names, into a folder that TensorBoard reads.

    Args:
        folder: The folder, made if it is not there; None to write nothing.
        step: Where the training goes on; what an interrupted run wrote beyond it is not shown.

    Raises:
        LlamaRecError: The package is not installed, or the folder cannot be written, now or later.
    """
    if folder is None:
        yield lambda _, __: None
        return
    make = need_tensorboard()
    with _told(folder):
        writer = make(str(folder), purge_step=step + 1 if step else None)

    def write(step: int, figures: Mapping[str, float]) -> None:
        with _told(folder):
            for name, value in figures.items():
                writer.add_scalar(name, value, step)

    with _quiet_thread():
        try:
            yield write
        finally:
            # Its end writes what is still to be written.
            with _told(folder), writer:
                pass


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        with file_failures(folder, "Give another folder with --tensorboard."):
            yield
    except LlamaRecError as error:
        raise LlamaRecError(f"Figures cannot be written: {error.sentence}", error.hint) from error


@contextmanager
def _quiet_thread() -> Iterator[None]:
    """Keep the writer's thread from printing a traceback of what it hands over to be told."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is None or file_failure(failed.exc_value) is None:
            before(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
