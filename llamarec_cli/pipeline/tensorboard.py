"""Figures of a training for TensorBoard, an optional extra."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llamarec_cli.errors import LlamaRecError


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


@contextmanager
def figures_in(folder: Path | None, step: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Yield what writes figures of an optimiser step, by their names, into a folder that TensorBoard reads.

    Args:
        folder: The folder, made if it is not there; None to write nothing.
        step: Where the training goes on; what an interrupted run wrote beyond it is not shown.

    Raises:
        LlamaRecError: The package is not installed, or the folder cannot be written.
    """
    if folder is None:
        yield lambda _, __: None
        return
    try:
        writer = need_tensorboard()(str(folder), purge_step=step + 1 if step else None)
    except OSError as error:
        raise LlamaRecError(
            f"The folder {folder} cannot be written ({error.strerror}).", "Give another one with --tensorboard."
        ) from error

    def write(step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)

    with writer:
        yield write
