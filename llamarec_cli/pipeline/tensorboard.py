"""Figures of a training for TensorBoard, an optional extra."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.failures import file_failure, file_failures


def need_tensorboard(folder: Path) -> Any:
    """Return the class that writes for TensorBoard, and make the folder that it writes into.

    Args:
        folder: Where figures go.

    Raises:
        LlamaRecError: The package is not installed, or the folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LlamaRecError(
            "--tensorboard writes with the package tensorboard, which is not installed.",
            "python -m pip install tensorboard",
        ) from error
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    return SummaryWriter


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
    with _told(folder):
        writer = need_tensorboard(folder)(str(folder), purge_step=step + 1 if step else None)

    def write(step: int, figures: Mapping[str, float]) -> None:
        with _told(folder):
            for name, value in figures.items():
                writer.add_scalar(name, value, step)

    with _quiet_thread():
        try:
            yield write
        finally:
            with _told(folder):
                writer.close()


def _told(folder: Path) -> AbstractContextManager[None]:
    return file_failures(folder, "Give another folder with --tensorboard.")


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
