"""`bench latency`: time to rank one user with each strategy, over the length of titles (paper, Figure 3).

Histories and titles are synthetic, since latency depends on the number of tokens and not on their content. Generation
runs to its length limit, that of all candidates' titles, where a trained model would have written the whole list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from llamarec_cli.artefacts.base_model import need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.devices import best_device
from llamarec_cli.errors import UnknownNameError, UsageError, command
from llamarec_cli.evaluation.latency import LatencyPoint
from llamarec_cli.language_model.base_models import load_tokenizer
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.language_model.inference import load_for_ranking, precision_dtype
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.bench.machine import Machine, measure_machine, times_ms
from llamarec_cli.pipeline.bench.random_models import ARCHITECTURES, random_model
from llamarec_cli.progress import Progress
from llamarec_cli.strategies.registry import STRATEGIES, ScorerOptions, StrategyRow, strategy_row

TITLE_LENGTHS = (5, 10, 15, 20, 25, 30, 35, 40)
_CANDIDATES = 20
_HISTORY = 20
# Common words, one token each in most tokenizers.
_WORDS = ("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state")


@dataclass(frozen=True)
class LatencyBench:
    """Result of the benchmark.

    Attributes:
        machine: Hardware and versions.
        model: Base model or architecture.
        precision: Data type of the model.
        points: One measurement per title length and strategy.
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
    strategies: Sequence[str] = tuple(STRATEGIES),
    lengths: Sequence[int] = TITLE_LENGTHS,
    repeats: int = 3,
    precision: Precision | None = None,
) -> LatencyBench:
    """Measure the seconds it takes to rank one user with 20 items of history and 20 candidates.

    Args:
        context: Store and reporting callbacks.
        base: Base model.
        architecture: A name of `ARCHITECTURES`, measured with random weights in place of the base model.
        strategies: Names of strategies.
        lengths: Tokens of each title.
        repeats: Measurements of each one-pass strategy at each length, after one warm-up run. The others run many
            passes and are measured once.
        precision: Data type; by default the best that the device supports.

    Raises:
        UsageError: A strategy or architecture is unknown, a length is less than 1, or random weights are to be
            quantised.
    """
    rows = [strategy_row(name) for name in strategies]
    _check_architecture(architecture, precision)
    if not lengths or min(lengths) < 1:
        raise UsageError("`lengths` must be at least 1 token.", command("bench latency", help=True))
    path = need_base_model(context, base).path
    tokenizer = load_tokenizer(path)
    context.report(Progress("measure the machine"))
    machine = measure_machine()
    model = _load_model(path, architecture, precision)
    points: list[LatencyPoint] = []
    for length in lengths:
        titles = ["", *_synthetic_titles(tokenizer, length, _HISTORY + _CANDIDATES)]
        for row in rows:
            point = _measure(row, model, tokenizer, titles, length, repeats)
            points.append(point)
            note = f"{length} tokens a title, {row.name}: {point.median_seconds:.2f} s"
            context.report(Progress("measure latency", len(points), len(lengths) * len(rows), note, note))
    data_type = str(precision or model.dtype).removeprefix("torch.")
    return LatencyBench(machine, architecture or base, data_type, points)


def _check_architecture(architecture: str | None, precision: Precision | None) -> None:
    if architecture is None:
        return
    if architecture not in ARCHITECTURES:
        raise UnknownNameError(architecture, "architecture", ARCHITECTURES)
    if precision is Precision.NF4:
        raise UsageError(
            "With `architecture`, `precision` must not be nf4: random weights are not quantised.",
            "Leave out `architecture`, or choose another `precision`.",
        )


def _load_model(path: Path, architecture: str | None, precision: Precision | None) -> Any:
    device = best_device()
    if architecture is None:
        return load_for_ranking(path, device, precision)
    return random_model(architecture, device, precision_dtype(precision, device))


def _measure(
    row: StrategyRow, model: Any, tokenizer: Any, titles: Sequence[str], length: int, repeats: int
) -> LatencyPoint:
    """Measure one strategy at one title length."""
    # Without a prefix cache, so that each measurement computes its whole prompt.
    scorer = row.make(model, tokenizer, titles, ScorerOptions(max_title_tokens=length, to_the_end=True, cache_bytes=0))
    history = list(range(1, _HISTORY + 1))
    candidates = list(range(_HISTORY + 1, _HISTORY + _CANDIDATES + 1))
    # A strategy is fit to be a ranking signal if it takes few passes. The others take minutes, and need no warm-up.
    fast = row.fusable
    times = times_ms(partial(scorer.rank, history, candidates), repeats if fast else 1, warm_up=1 if fast else 0)
    median = sorted(times)[len(times) // 2] / 1000
    return LatencyPoint(length, row.name, median, (max(times) - min(times)) / 1000, len(times))


def _synthetic_titles(tokenizer: Any, length: int, count: int) -> list[str]:
    """Return random titles of the given number of tokens, or fewer where words do not add up to it."""
    generator = Random(0)
    titles = []
    for _ in range(count):
        words = [generator.choice(_WORDS) for _ in range(length)]
        while len(words) > 1 and len(tokenizer.encode(" ".join(words), add_special_tokens=False)) > length:
            words.pop()
        titles.append(" ".join(words))
    return titles
