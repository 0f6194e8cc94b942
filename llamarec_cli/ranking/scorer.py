"""Interface of a candidate scorer: history and candidates in, log-probabilities out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.ranking.examples import RankingExample


class CandidateScorer(ABC):
    """Scores candidates with a language model, given a history.

    Attributes:
        ranks_together: Whether ranking several users in one call is faster than one after another.
        unparsed: Generated entries so far that named no candidate; None for a scorer that does not generate text.
        unnamed: Candidates so far that were missing from the generated text; they are ranked last.
    """

    ranks_together = False
    unparsed: int | None = None
    unnamed = 0

    @abstractmethod
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-probability of each candidate, K values in the order given."""

    def disable_cache(self) -> None:  # noqa: B027  # not abstract: most scorers have no cache
        """Stop reusing computations of earlier prompts, so that results do not depend on the order of calls.

        Reuse changes rounding. Resumable runs over many users disable it, so that an interruption changes no byte of
        their result. The default does nothing, for scorers without a cache.
        """

    def rank_many(self, examples: Sequence[RankingExample]) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """Yield the index and the log-probabilities of each of several users, in any order."""
        for index, example in enumerate(examples):
            yield index, self.rank(example.history.tolist(), example.candidates.tolist())


def score_examples(
    scorer: CandidateScorer, examples: Sequence[RankingExample], k: int, stage: str, report: Reporter = silent
) -> npt.NDArray[np.float64]:
    """Return the log-probabilities of several users' candidates, S x K; minus infinity where a user has fewer than K.

    Args:
        scorer: Scores the candidates.
        examples: Histories and candidates, at most `k` candidates a user.
        k: Width of the result.
        stage: Name of the progress bar.
        report: Progress callback, in users.
    """
    scores = np.full((len(examples), k), -np.inf)
    for done, (index, ranked) in enumerate(scorer.rank_many(examples), start=1):
        scores[index, : len(ranked)] = ranked
        report(Progress(stage, done, len(examples)))
    return scores
