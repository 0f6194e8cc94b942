"""Latency of ranking one user against the length of titles: the paper's Figure 3 (section 4.2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llamarec_cli.errors import LlamaRecError


@dataclass(frozen=True)
class LatencyPoint:
    """One measurement.

    Attributes:
        title_length: Tokens of each title.
        strategy: How the language model was read.
        median_seconds: For one user.
        spread: Largest less smallest, in seconds.
        repeats: Measurements, beside those to warm up.
    """

    title_length: int
    strategy: str
    median_seconds: float
    spread: float
    repeats: int


def plot_latency(points: Sequence[LatencyPoint], caption: str, path: Path) -> None:
    """Draw latency against title length, once on a linear and once on a logarithmic scale.

    Args:
        points: Measurements.
        caption: What they were measured on.
        path: PNG or SVG, by its ending.

    Raises:
        LlamaRecError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LlamaRecError(
            "--plot draws with matplotlib, which is not installed.", "python -m pip install matplotlib"
        ) from error
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, scale in zip(figure.subplots(1, 2), ("linear", "log"), strict=True):
        for strategy in dict.fromkeys(point.strategy for point in points):
            of_one = [point for point in points if point.strategy == strategy]
            axes.plot(
                [point.title_length for point in of_one],
                [point.median_seconds for point in of_one],
                marker="o",
                label=strategy,
            )
        axes.set_yscale(scale)
        axes.set_xlabel("tokens of a title")
        axes.set_ylabel("seconds for one user")
        axes.grid(visible=True, alpha=0.3)
    figure.axes[0].legend()
    figure.suptitle(caption, fontsize="small")
    figure.savefig(path)
