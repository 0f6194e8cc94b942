"""`bench latency`: one forward pass of the verbalizer against generation and pointwise, over the length of titles.

Histories and titles are made up: time depends on the number of tokens and not on what they say. Generation runs to its
limit, all titles together, where a trained model would have written the whole list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from random import Random
from typing import Any

from llamarec_cli.artefacts.base_model import need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.devices import best_device
from llamarec_cli.errors import UnknownNameError, UsageError
from llamarec_cli.evaluation.latency import LatencyPoint
from llamarec_cli.language_model.base_models import load_tokenizer
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.language_model.inference import load_for_ranking, precision_dtype
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.bench.machine import Machine, measure_machine, times_ms
from llamarec_cli.pipeline.bench.random_models import ARCHITECTURES, random_model
from llamarec_cli.progress import Progress
from llamarec_cli.strategies.registry import ScorerOptions, strategy_row

TITLE_LENGTHS = (5, 10, 15, 20, 25, 30, 35, 40)
MEASURED = ("verbalizer", "pointwise", "generate-letters", "generate-titles")
_LONG = ("pointwise", "generate-letters", "generate-titles")
_CANDIDATES = 20
_HISTORY = 20
# Common words, each one token of about any tokenizer.
_WORDS = ("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state")


@dataclass(frozen=True)
class LatencyBench:
    """What was measured, and on what.

    Attributes:
        machine: Hardware and versions.
        model: Base model or architecture.
        precision: What it computed in.
        points: One a title length and strategy.
    """

    machine: Machine
    model: str
    precision: str
    points: list[LatencyPoint]

    def environment(self) -> dict[str, Any]:
        """Return everything but the points."""
        return {**asdict(self.machine), "model": self.model, "precision": self.precision}


def bench_latency(
    context: Context,
    *,
    base: str = DEFAULT_BASE,
    architecture: str | None = None,
    strategies: Sequence[str] = MEASURED,
    title_lengths: Sequence[int] = TITLE_LENGTHS,
    repeats: int = 3,
    precision: Precision | None = None,
) -> LatencyBench:
    """Measure the seconds that one user takes, 20 items of history and 20 candidates.

    Args:
        context: Surroundings.
        base: Base model.
        architecture: A name of `ARCHITECTURES`, measured with random weights instead of a base model.
        strategies: Names of strategies.
        title_lengths: Tokens of each title.
        repeats: Measurements of the verbalizer at each length, after one to warm up. The others, whose many passes make
            up one measurement, are measured once.
        precision: What the model computes in; by default what the device is best at.

    Raises:
        UsageError: A strategy or architecture is not known, or the latter cannot be had in that precision.
    """
    chosen = [strategy_row(name) for name in strategies]
    if architecture is not None and architecture not in ARCHITECTURES:
        raise UnknownNameError(architecture, "architecture", ARCHITECTURES)
    if architecture is not None and precision is Precision.NF4:
        raise UsageError("Random weights are not quantised.", "Leave out --architecture, or give another --precision.")
    if not title_lengths or min(title_lengths) < 1:
        raise UsageError("Title lengths must be at least 1 token.", "llamarec bench latency --help")
    device = best_device()
    path = need_base_model(context, base).path
    tokenizer = load_tokenizer(path)
    context.report(Progress("measure the machine"))
    machine = measure_machine()
    if architecture is None:
        model = load_for_ranking(path, device, precision)
    else:
        model = random_model(architecture, device, precision_dtype(precision, device))
    points: list[LatencyPoint] = []
    total = len(title_lengths) * len(chosen)
    history = list(range(1, _HISTORY + 1))
    candidates = list(range(_HISTORY + 1, _HISTORY + _CANDIDATES + 1))
    for length in title_lengths:
        titles = ["", *_titles(tokenizer, length, _HISTORY + _CANDIDATES)]
        for row in chosen:
            # Each measurement reads its whole prompt: nothing is kept of the one before.
            options = ScorerOptions(max_title_tokens=length, to_the_end=True, cache_bytes=0)
            scorer = row.make(model, tokenizer, titles, options)
            long = row.name in _LONG
            times = times_ms(
                partial(scorer.rank, history, candidates),
                1 if long else repeats,
                warm_up=0 if long else 1,
            )
            median = sorted(times)[len(times) // 2] / 1000
            points.append(LatencyPoint(length, row.name, median, (max(times) - min(times)) / 1000, len(times)))
            note = f"{length} tokens a title, {row.name}: {median:.2f} s"
            context.report(Progress("measure latency", len(points), total, note, note))
    shown = str(precision or model.dtype).removeprefix("torch.")
    return LatencyBench(machine, architecture or base, shown, points)


def _titles(tokenizer: Any, length: int, count: int) -> list[str]:
    """Return made-up titles of exactly so many tokens, as far as words allow."""
    generator = Random(0)
    titles = []
    for _ in range(count):
        words = [generator.choice(_WORDS) for _ in range(length)]
        while len(words) > 1 and len(tokenizer.encode(" ".join(words), add_special_tokens=False)) > length:
            words.pop()
        titles.append(" ".join(words))
    return titles
