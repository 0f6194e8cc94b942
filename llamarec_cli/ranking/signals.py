"""Signals: features of each candidate, combined by the fusion into the final score.

Beside the log-probabilities of the first stage and of a language model there are three cheap signals, from
co-occurrence counts and from the words of titles. They are strong baselines: in a first study on Beauty two of them
improved on the retriever by more than the paper's language model does, so a gain of the language model must be shown
beside them.

Shapes: S users, K candidates, P items of a pool.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from llamarec_cli.data.splits import Sequences
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.retrieval.candidates import Candidates
from llamarec_cli.retrieval.neighbours import ItemCounts

Array = npt.NDArray[np.float64]

# Weight of an item of the history relative to the item after it, in the similarity of titles.
_DECAY = 0.8
# Users per batch: item counts are dense over the whole catalogue for each of them.
_BATCH_SIZE = 128


class Signal(StrEnum):
    """Signals that need no language model to read candidates; the signal of one is named after its strategy."""

    RETRIEVER = "retriever"
    TOGETHER = "together"
    FOLLOWING = "following"
    TITLES = "titles"


CHEAP = (Signal.TOGETHER, Signal.FOLLOWING, Signal.TITLES)

# Keys are a `Signal`, a strategy, or a retriever that the first stage blends.
Signals = dict[str, Array]


class TitleLikeness:
    """Similarity of a candidate's title to the titles of a history: cosine of TF-IDF vectors of their words.

    Args:
        titles: Title of each item id.
    """

    def __init__(self, titles: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        # The pattern keeps numbers and single letters, which distinguish the parts of a series.
        self._vectors: Any = TfidfVectorizer(token_pattern=r"(?u)\w+", sublinear_tf=True).fit_transform(titles)

    def score(self, example: RankingExample) -> Array:
        """Return the weighted mean similarity of K candidates to the history; recent items have the largest weights."""
        importance = _DECAY ** np.arange(len(example.history))[::-1]
        likeness_KH = (self._vectors[example.candidates] @ self._vectors[example.history].T).toarray()
        result: Array = likeness_KH @ importance / importance.sum()
        return result


def cheap_signals(examples: Sequence[RankingExample], counts: ItemCounts, likeness: TitleLikeness, k: int) -> Signals:
    """Return the three cheap signals, S x K each; 0 where a user has fewer than K candidates.

    Args:
        examples: Histories and candidates, at most `k` candidates a user.
        counts: Item counts of the training sequences.
        likeness: Similarity of the catalogue's titles.
        k: Width of the result.
    """
    signals: Signals = {signal: np.zeros((len(examples), k)) for signal in CHEAP}
    lengths = [len(example.history) for example in examples]
    flat = np.concatenate([example.history for example in examples]) if examples else np.empty(0, dtype=np.int32)
    histories = Sequences(flat.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    for begin in range(0, len(examples), _BATCH_SIZE):
        users = np.arange(begin, min(begin + _BATCH_SIZE, len(examples)))
        with torch.inference_mode():
            together_BV, following_BV = (scores.cpu().numpy() for scores in counts.score(histories, users))
        for row, user in enumerate(users.tolist()):
            candidates = examples[user].candidates
            signals[Signal.TOGETHER][user, : len(candidates)] = together_BV[row, candidates]
            signals[Signal.FOLLOWING][user, : len(candidates)] = following_BV[row, candidates]
            signals[Signal.TITLES][user, : len(candidates)] = likeness.score(examples[user])
    return signals


class SignalSource:
    """Computes signals, and loads the language model when its scorer is first used.

    Args:
        counts: Item counts of the training sequences.
        titles: Title of each item id.
        load_scorer: Loads the scorer of the language model; called once, at the first use.
    """

    def __init__(self, counts: ItemCounts, titles: Sequence[str], load_scorer: Callable[[], CandidateScorer]) -> None:
        self.counts = counts
        self._titles = titles
        self._load_scorer = load_scorer

    @cached_property
    def scorer(self) -> CandidateScorer:
        """Scorer of the language model."""
        return self._load_scorer()

    @cached_property
    def likeness(self) -> TitleLikeness:
        """Similarity of the catalogue's titles."""
        return TitleLikeness(self._titles)

    def compute(
        self, examples: Sequence[RankingExample], retrieved: Candidates, wanted: Collection[str] = CHEAP
    ) -> Signals:
        """Return all signals but the language model's of several users' pools, S x P each.

        Args:
            examples: Histories and pools of S users.
            retrieved: The same pools with the first stage's scores, which are always among the signals.
            wanted: The cheap signals that are needed; if it names none, they are not computed.
        """
        signals: Signals = {Signal.RETRIEVER: retrieved.log_probabilities()}
        signals |= {name: values.astype(np.float64) for name, values in retrieved.parts.items()}
        if any(signal in wanted for signal in CHEAP):
            signals |= cheap_signals(examples, self.counts, self.likeness, retrieved.k)
        return signals
