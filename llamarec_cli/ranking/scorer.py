"""The contract of what reads a language model as a ranker: history and candidates to log-probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from llamarec_cli.language_model.prefix_cache import PrefixCache
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.ranking.examples import RankingExample


class CandidateScorer(ABC):
    """A way to read a language model: history and candidates to log-probabilities.

    Attributes:
        prefixes: What is kept of histories; None where nothing ever is.
        ranks_together: Whether several users take less time together than one after another.
        unparsed: Generated entries that named no candidate; None for a scorer that generates nothing.
        unnamed: Candidates that were not generated; they stand behind the others.
    """

    prefixes: PrefixCache | None = None
    ranks_together = False
    unparsed: int | None = None
    unnamed = 0

    @abstractmethod
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-probability of each candidate, K values in the order given."""

    def keep_nothing(self) -> None:
        """Read every prompt from its first token on from now on, so that no bit depends on what was ranked before.

        Rounding differs by where a prompt is taken up. Files and evaluations that can be resumed, where users come
        once, are to give the same bytes after an interruption.
        """
        if self.prefixes is not None:
            self.prefixes.max_bytes = 0

    def rank_many(self, examples: Sequence[RankingExample]) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """Yield the index and the log-probabilities of each of several users, in whatever order is fastest."""
        for index, example in enumerate(examples):
            yield index, self.rank(example.history.tolist(), example.candidates.tolist())


def score_examples(
    scorer: CandidateScorer, examples: Sequence[RankingExample], k: int, stage: str, report: Reporter = silent
) -> npt.NDArray[np.float64]:
    """Return a scorer's log-probabilities of several users, S x K; minus infinity where a user has fewer.

    Args:
        scorer: Reads the language model.
        examples: Histories and candidates, at most `k` of these a user.
        k: Width of the result.
        stage: Name of the progress bar.
        report: Progress in users.
    """
    scores = np.full((len(examples), k), -np.inf)
    for done, (index, ranked) in enumerate(scorer.rank_many(examples), start=1):
        scores[index, : len(ranked)] = ranked
        report(Progress(stage, done, len(examples)))
    return scores
