"""Signals: what is known of each candidate, a number each, for the final score to weigh.

Beside the log-probabilities of the first stage and of the language model there are three cheap ones, of counts and of
words. They are here because they are strong: in a first study on Beauty two of them beat the retriever by more than
the paper's language model does, so whoever claims a gain from the latter has to show it beside them.

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

# What an older item of the history counts less than the one after it, for the likeness of titles.
_DECAY = 0.8
# Users whose candidates are looked up at once; item counts are spread over the whole catalogue for each.
_USERS = 128


class Signal(StrEnum):
    """What may count in the final score."""

    RETRIEVER = "retriever"
    TOGETHER = "together"
    FOLLOWING = "following"
    TITLES = "titles"
    VERBALIZER = "verbalizer"
    LIKELIHOOD = "likelihood"


CHEAP = (Signal.TOGETHER, Signal.FOLLOWING, Signal.TITLES)
LANGUAGE_MODEL = (Signal.VERBALIZER, Signal.LIKELIHOOD)

# By name: of a `Signal`, or of a retriever that the first stage blends.
Signals = dict[str, Array]


class TitleLikeness:
    """How like the titles of a history a candidate's title is: cosine of TF-IDF vectors of their words.

    Args:
        titles: Title of each item id.
    """

    def __init__(self, titles: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        # Numbers and single letters count too: they tell the parts of a series apart.
        self._vectors: Any = TfidfVectorizer(token_pattern=r"(?u)\w+", sublinear_tf=True).fit_transform(titles)

    def score(self, example: RankingExample) -> Array:
        """Return the mean likeness to the history, its latest items counting most, of K candidates."""
        importance = _DECAY ** np.arange(len(example.history))[::-1]
        likeness_KH = (self._vectors[example.candidates] @ self._vectors[example.history].T).toarray()
        result: Array = likeness_KH @ importance / importance.sum()
        return result


def cheap_signals(examples: Sequence[RankingExample], counts: ItemCounts, likeness: TitleLikeness, k: int) -> Signals:
    """Return the three signals that need no language model, each S x K; 0 where a user has fewer candidates.

    Args:
        examples: Histories and candidates, at most `k` of these a user.
        counts: Item counts of the training sequences.
        likeness: Of the catalogue's titles.
        k: Width of the result.
    """
    signals: Signals = {signal: np.zeros((len(examples), k)) for signal in CHEAP}
    lengths = [len(example.history) for example in examples]
    flat = np.concatenate([example.history for example in examples]) if examples else np.empty(0, dtype=np.int32)
    histories = Sequences(flat.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    for begin in range(0, len(examples), _USERS):
        users = np.arange(begin, min(begin + _USERS, len(examples)))
        with torch.inference_mode():
            together_BV, following_BV = (scores.cpu().numpy() for scores in counts.score(histories, users))
        for row, user in enumerate(users.tolist()):
            candidates = examples[user].candidates
            signals[Signal.TOGETHER][user, : len(candidates)] = together_BV[row, candidates]
            signals[Signal.FOLLOWING][user, : len(candidates)] = following_BV[row, candidates]
            signals[Signal.TITLES][user, : len(candidates)] = likeness.score(examples[user])
    return signals


class SignalSource:
    """Computes whatever signals are wanted, and loads the language model only if its own is among them.

    Args:
        counts: Item counts of the training sequences.
        titles: Title of each item id.
        load_scorer: Loads the language model as it reads candidates; called once, when it is first needed.
    """

    def __init__(self, counts: ItemCounts, titles: Sequence[str], load_scorer: Callable[[], CandidateScorer]) -> None:
        self.counts = counts
        self._titles = titles
        self._load_scorer = load_scorer

    @cached_property
    def scorer(self) -> CandidateScorer:
        """The language model."""
        return self._load_scorer()

    @cached_property
    def likeness(self) -> TitleLikeness:
        """Likeness of the catalogue's titles."""
        return TitleLikeness(self._titles)

    def compute(
        self, examples: Sequence[RankingExample], retrieved: Candidates, wanted: Collection[str] = CHEAP
    ) -> Signals:
        """Return the signals of some users' pools that need no language model, S x P each.

        Args:
            examples: Histories and pools; S users.
            retrieved: The same pools with the first stage's scores, which are signals too.
            wanted: Which of the others are wanted.
        """
        signals: Signals = {Signal.RETRIEVER: retrieved.log_probabilities()}
        signals |= {name: values.astype(np.float64) for name, values in retrieved.parts.items()}
        if any(signal in wanted for signal in CHEAP):
            signals |= cheap_signals(examples, self.counts, self.likeness, retrieved.k)
        return signals
