"""Training examples of the ranker: every prefix of every training sequence, with random negatives.

As the paper's code: the target is the item that follows a prefix, the pool holds it and 19 items drawn uniformly from
those the user has not interacted with, in random order. In evaluation the pool is the retriever's top 20.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.data.splits import Sequences
from llamarec_cli.ranking.prompt import MAX_HISTORY


@dataclass(frozen=True)
class RankingExample:
    """One prompt and its answer.

    Attributes:
        history: Item ids, oldest first; at most `MAX_HISTORY`.
        candidates: Item ids in the order of their letters.
        answer: Index of the true item among the candidates.
    """

    history: npt.NDArray[np.int32]
    candidates: npt.NDArray[np.int32]
    answer: int


class TrainingExamples:
    """All training examples, made one at a time, each from (seed, index) alone.

    Args:
        sequences: Training part of each user's sequence.
        item_count: Number of items, without the padding.
        k: Size of the pool.
        seed: Of order, negatives and shuffling.
    """

    def __init__(self, sequences: Sequences, item_count: int, k: int, seed: int) -> None:
        self._sequences = sequences
        self._item_count = item_count
        self._k = k
        self._seed = seed
        ends = [
            np.arange(begin + 1, end)
            for begin, end in zip(sequences.offsets_S[:-1], sequences.offsets_S[1:], strict=True)
        ]
        users = np.repeat(np.arange(len(sequences)), [len(user_ends) for user_ends in ends])
        order = np.random.default_rng([seed, 0]).permutation(len(users))
        self._targets_E = np.concatenate(ends)[order] if len(users) else np.empty(0, dtype=np.int64)
        self._users_E = users[order]

    def __len__(self) -> int:
        return len(self._targets_E)

    def __getitem__(self, index: int) -> RankingExample:
        """Return one example; the same index always gives the same one."""
        generator = np.random.default_rng([self._seed, 1, index])
        user, position = self._users_E[index], self._targets_E[index]
        begin = self._sequences.offsets_S[user]
        history = self._sequences.items_N[max(begin, position - MAX_HISTORY) : position]
        target = self._sequences.items_N[position]
        pool = np.append(self._negatives(self._sequences[user], generator), target)
        shuffled = generator.permutation(pool).astype(np.int32)
        return RankingExample(history, shuffled, int(np.flatnonzero(shuffled == target)[0]))

    def _negatives(self, seen: npt.NDArray[np.int32], generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw up to k - 1 distinct items that the user has not interacted with."""
        unseen = np.setdiff1d(np.arange(1, self._item_count + 1), seen, assume_unique=False)
        return generator.choice(unseen, size=min(self._k - 1, len(unseen)), replace=False)
