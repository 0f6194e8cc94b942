"""Latency of ranking one user over the length of titles: the paper's Figure 3 (section 4.2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.evaluation.paper import GENERATION_SECONDS, VERBALIZER_SECONDS

# Title length, in tokens, at which the paper reports seconds.
_PAPER_LENGTH = 20


@dataclass(frozen=True)
class LatencyPoint:
    """Latency of one strategy at one title length.

    Attributes:
        title_length: Tokens of each title.
        strategy: Name of the strategy.
        median_seconds: Median time for one user.
        spread: Maximum minus minimum, in seconds.
        repeats: Number of measurements, without warm-up.
    """

    title_length: int
    strategy: str
    median_seconds: float
    spread: float
    repeats: int


def describe_latency(points: Sequence[LatencyPoint]) -> list[str]:
    """Return the message of the paper's Figure 3 in sentences: generating titles compared with the verbalizer.

    Args:
        points: Measurements; without both strategies there are no sentences.
    """
    seconds = {(point.strategy, point.title_length): point.median_seconds for point in points}
    lengths = sorted({point.title_length for point in points})
    if not {("verbalizer", lengths[0]), ("generate-titles", lengths[0])} <= set(seconds):
        return []
    sentences: list[str] = []
    if _PAPER_LENGTH in lengths:
        ratio = seconds["generate-titles", _PAPER_LENGTH] / seconds["verbalizer", _PAPER_LENGTH]
        sentences.append(
            f"At {_PAPER_LENGTH} tokens a title, generating the titles takes {ratio:.1f} times as long as the "
            f"verbalizer (the paper, 7B on a GPU: {GENERATION_SECONDS} s against under {VERBALIZER_SECONDS:.0f} s)."
        )
    if len(lengths) > 1:
        first, last = lengths[0], lengths[-1]
        growth = [seconds[name, last] - seconds[name, first] for name in ("verbalizer", "generate-titles")]
        sentences.append(
            f"From {first} to {last} tokens a title, the verbalizer's time grows by {growth[0]:.2f} s, that of "
            f"generating the titles by {growth[1]:.2f} s."
        )
    return sentences


def check_plotting() -> None:
    """Raise a `LlamaRecError` if matplotlib is not installed. Called before minutes of measuring."""
    if find_spec("matplotlib") is None:
        raise LlamaRecError("`plot` needs matplotlib, which is not installed.", "python -m pip install matplotlib")


def plot_latency(points: Sequence[LatencyPoint], caption: str, path: Path, form: str) -> None:
    """Plot latency against title length, on a linear and on a logarithmic scale.

    Args:
        points: Measurements.
        caption: Model and machine.
        path: File to write.
        form: `png` or `svg`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, scale in zip(figure.subplots(1, 2), ("linear", "log"), strict=True):
        for strategy in dict.fromkeys(point.strategy for point in points):
            of_strategy = [point for point in points if point.strategy == strategy]
            axes.plot(
                [point.title_length for point in of_strategy],
                [point.median_seconds for point in of_strategy],
                marker="o",
                label=strategy,
            )
        axes.set_yscale(scale)
        axes.set_xlabel("tokens of a title")
        axes.set_ylabel("seconds for one user")
        axes.grid(visible=True, alpha=0.3)
    figure.axes[0].legend()
    figure.suptitle(caption, fontsize="small")
    figure.savefig(path, format=form)
