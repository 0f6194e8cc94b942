"""Scoring of ranking examples through an engine, for evaluation.

Shapes: S users of a chunk, K candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.engines.registry import engine_row
from llamarec_cli.progress import Reporter, silent
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.scorer import CandidateScorer, score_examples
from llamarec_cli.strategies.registry import ScorerSpec, open_scorer

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ExampleWorker:
    """Scores chunks of examples.

    Attributes:
        load: Returns the scorer; called for every chunk, so it must keep what it loads.
        k: Width of the scores.
        report: Progress callback, in users of the current chunk.
    """

    load: Callable[[], CandidateScorer]
    k: int
    report: Reporter = silent

    def __call__(self, examples: Sequence[RankingExample]) -> Scores:
        """Return the log-probabilities of the candidates, S x K."""
        scorer = self.load()
        # Scores must not depend on which chunks a worker has seen.
        scorer.disable_cache()
        return score_examples(scorer, examples, self.k, "rank", self.report)


@dataclass(frozen=True)
class ExampleSpec:
    """Recipe of an `ExampleWorker`.

    Attributes:
        scorer: Recipe of the scorer.
        k: Width of the scores.
    """

    scorer: ScorerSpec
    k: int

    def open(self) -> ExampleWorker:
        """Load the language model, and return the worker."""
        scorer = open_scorer(self.scorer)
        return ExampleWorker(lambda: scorer, self.k)


def score_through_engine(
    engine: str,
    spec: ScorerSpec,
    load: Callable[[], CandidateScorer],
    examples: Sequence[RankingExample],
    *,
    k: int,
    chunk_size: int,
    report: Reporter = silent,
) -> Iterator[Scores]:
    """Yield the log-probabilities of some users' candidates, chunk by chunk, in order.

    The scorer's cache of prompts is disabled. Results are the same with every engine, and depend on the chunk size only
    by rounding, since a scorer may pack the users of a chunk together.

    Args:
        engine: Name of the engine.
        spec: Recipe of the scorer, for engines that open it elsewhere.
        load: Returns the scorer of this process; called by engines that use it, once a chunk.
        examples: Histories and candidates, at most `k` candidates a user.
        k: Width of the results.
        chunk_size: Users a chunk.
        report: Progress callback, in users of the current chunk; engines that run elsewhere do not call it.

    Yields:
        S x K for each chunk; minus infinity where a user has fewer than K candidates.

    Raises:
        UnknownNameError: There is no such engine.
    """
    opened = engine_row(engine).open(ExampleSpec(spec, k), ExampleWorker(load, k, report))
    yield from opened.map(examples[begin : begin + chunk_size] for begin in range(0, len(examples), chunk_size))
