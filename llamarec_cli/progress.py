"""Progress reports of long work: the work calls a `Reporter`, and `cli/console.py` decides what to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """One progress report.

    Attributes:
        stage: The work in progress, such as `train lrurec`; reports of one stage share one progress bar.
        done: Units done so far.
        total: Units in total, or None if unknown. `done == total` closes the stage.
        detail: The current figure, such as `Recall@10 0.0874`.
        note: A line to keep in the log after the bar is gone, such as a validation result.
        seconds_left: Seconds until a time limit ends the stage; None without a limit.
        unit: What `done` and `total` count: `items`, or `bytes`, which are shown in megabytes.
    """

    stage: str
    done: int = 0
    total: int | None = None
    detail: str = ""
    note: str = ""
    seconds_left: float | None = None
    unit: Literal["items", "bytes"] = "items"


Reporter = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Discard a report: the default of every function that takes a `Reporter`."""
