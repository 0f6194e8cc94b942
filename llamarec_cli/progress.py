"""How long work reports itself: rooms call a `Reporter`, `cli/console.py` decides what is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report from long work.

    Attributes:
        stage: What is being done, such as `train lrurec`; reports of one stage share one progress bar.
        done: Units done so far.
        total: Units in all, or None where unknown. `done == total` closes the stage.
        detail: The current figure, such as `Recall@10 0.0874`.
        note: A line worth keeping in the log once the bar is gone, such as a validation result.
        seconds_left: When the stage ends even if not all is done, because its time is limited; None if it is not.
    """

    stage: str
    done: int = 0
    total: int | None = None
    detail: str = ""
    note: str = ""
    seconds_left: float | None = None


Reporter = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Report to nobody: the default of every function that takes a `Reporter`."""
