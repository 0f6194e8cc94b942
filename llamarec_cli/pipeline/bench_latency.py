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

from llamarec_cli.errors import UsageError, nearest
from llamarec_cli.evaluation.latency import LatencyPoint
from llamarec_cli.pipeline.base_model import need_base_model
from llamarec_cli.pipeline.context import Context, best_device
from llamarec_cli.pipeline.machine import Machine, measure_machine, times_ms
from llamarec_cli.progress import Progress
from llamarec_cli.ranking.base_models import (
    ARCHITECTURES,
    DEFAULT_BASE,
    load_base_model,
    load_tokenizer,
    random_model,
)
from llamarec_cli.ranking.engine import CandidateScorer, PromptEncoder, RankingEngine
from llamarec_cli.ranking.strategies import GenerateLetters, GenerateTitles, Pointwise, Strategy

TITLE_LENGTHS = (5, 10, 15, 20, 25, 30, 35, 40)
MEASURED = (Strategy.VERBALIZER, Strategy.POINTWISE, Strategy.GENERATE_LETTERS, Strategy.GENERATE_TITLES)
_LONG = (Strategy.POINTWISE, Strategy.GENERATE_LETTERS, Strategy.GENERATE_TITLES)
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

    Raises:
        UsageError: A strategy or architecture is not known.
    """
    chosen = [_strategy(name) for name in strategies]
    if architecture is not None and architecture not in ARCHITECTURES:
        raise UsageError(
            f"There is no architecture called {architecture}: {nearest(architecture, ARCHITECTURES)}",
            f"Known: {', '.join(ARCHITECTURES)}.",
        )
    if not title_lengths or min(title_lengths) < 1:
        raise UsageError("Title lengths must be at least 1 token.", "llamarec bench latency --help")
    device = best_device()
    path = need_base_model(context, base).path
    tokenizer = load_tokenizer(path)
    context.report(Progress("measure the machine"))
    machine = measure_machine()
    model = load_base_model(path, device) if architecture is None else random_model(architecture, device)
    points: list[LatencyPoint] = []
    total = len(title_lengths) * len(chosen)
    history = list(range(1, _HISTORY + 1))
    candidates = list(range(_HISTORY + 1, _HISTORY + _CANDIDATES + 1))
    for length in title_lengths:
        titles = ["", *_titles(tokenizer, length, _HISTORY + _CANDIDATES)]
        encoder = PromptEncoder(tokenizer, titles, max_title_tokens=length)
        for strategy in chosen:
            scorer = _scorer(strategy, model, encoder)
            long = strategy in _LONG
            times = times_ms(
                partial(scorer.rank, history, candidates),
                1 if long else repeats,
                warm_up=0 if long else 1,
            )
            median = sorted(times)[len(times) // 2] / 1000
            points.append(LatencyPoint(length, str(strategy), median, (max(times) - min(times)) / 1000, len(times)))
            note = f"{length} tokens a title, {strategy}: {median:.2f} s"
            context.report(Progress("measure latency", len(points), total, note, note))
    return LatencyBench(machine, architecture or base, str(model.dtype).removeprefix("torch."), points)


def _strategy(name: str) -> Strategy:
    if name not in MEASURED:
        raise UsageError(
            f"There is no strategy called {name} to measure: {nearest(name, MEASURED)}",
            f"Known: {', '.join(MEASURED)}.",
        )
    return Strategy(name)


def _scorer(strategy: Strategy, model: Any, encoder: PromptEncoder) -> CandidateScorer:
    match strategy:
        case Strategy.POINTWISE:
            return Pointwise(model, encoder)
        case Strategy.GENERATE_LETTERS:
            return GenerateLetters(model, encoder, to_the_end=True)
        case Strategy.GENERATE_TITLES:
            return GenerateTitles(model, encoder, to_the_end=True)
        case _:
            return RankingEngine(model, encoder)


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
