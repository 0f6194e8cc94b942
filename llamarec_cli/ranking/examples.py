"""Examples of the ranker: a history, a pool of candidates and the true item; in training, with sampled negatives.

Every prefix of every training sequence is an example. Its target is the next item, which stands in the pool among
negatives, in random order. As in the paper's code, negatives are drawn uniformly from the items that the user has not
interacted with. Beyond the paper they may be hard negatives: the candidates of a retriever that was not trained on this
user, as in evaluation, where the pool is the retriever's top 20. Where users consume items again, items of their
history are candidates, so they are negatives too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from llamarec_cli.data.splits import Sequences

# The paper truncates histories to their most recent items.
MAX_HISTORY = 20

History = TypeVar("History", npt.NDArray[np.int32], Sequence[int])


def recent(history: History) -> History:
    """Return the items of a history that a language model reads: the last `MAX_HISTORY`, oldest first."""
    return history[-MAX_HISTORY:]


@dataclass(frozen=True)
class RankingExample:
    """One user's history and candidates; see `of` for a history of any length.

    Attributes:
        history: Item ids, oldest first; at most `MAX_HISTORY`.
        candidates: Item ids in the order in which a prompt lists them.
        answer: Index of the true item among the candidates; 0 where it is unknown.
    """

    history: npt.NDArray[np.int32]
    candidates: npt.NDArray[np.int32]
    answer: int = 0

    @classmethod
    def of(cls, history: npt.NDArray[np.int32], candidates: npt.NDArray[np.int32], answer: int = 0) -> RankingExample:
        """Return an example with a history truncated to its most recent items."""
        return cls(recent(history), candidates, answer)


@dataclass(frozen=True)
class HardNegatives:
    """A retriever's candidates as negatives.

    Attributes:
        retrieve: Maps users (B indices) and a prefix of each one's sequence to the retriever's top K, best first: item
            ids, B x K at most, padded with 0; items of the prefix only where users consume items again.
        curriculum_examples: Examples over which the share of hard negatives rises linearly from 0 to 1; 0 for a share
            of 1 from the start.
    """

    retrieve: Callable[[npt.NDArray[np.int64], Sequences], npt.NDArray[np.int32]]
    curriculum_examples: int = 0

    def share(self, number: int) -> float:
        """Return the probability that a negative of example `number` is a hard one."""
        return min(1.0, number / self.curriculum_examples) if self.curriculum_examples else 1.0


class TrainingExamples:
    """All training examples, generated in batches; each depends on (seed, index) alone.

    Args:
        sequences: Training part of each user's sequence.
        item_count: Number of items, without the padding.
        k: Size of the pool.
        seed: Seed of the order, the negatives and the shuffling.
        hard: Source of hard negatives; None if all negatives are random.
    """

    def __init__(
        self, sequences: Sequences, item_count: int, k: int, seed: int, hard: HardNegatives | None = None
    ) -> None:
        self._sequences = sequences
        self._item_count = item_count
        self._k = k
        self._seed = seed
        self._hard = hard
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
        """Return one example, the same at every call."""
        return self.batch([index])[0]

    def batch(self, indices: Sequence[int], passed: int = 0) -> list[RankingExample]:
        """Return several examples; the retriever of hard negatives is called once for all of them.

        Args:
            indices: Indices of the examples.
            passed: Number of examples in earlier epochs, for the curriculum of hard negatives.
        """
        shares = [self._hard.share(passed + index) if self._hard else 0.0 for index in indices]
        retrieved_BK = self._retrieved(indices) if any(shares) else np.zeros((len(indices), 0), dtype=np.int32)
        return [self._example(*one) for one in zip(indices, retrieved_BK, shares, strict=True)]

    def _retrieved(self, indices: Sequence[int]) -> npt.NDArray[np.int32]:
        assert self._hard is not None
        users_B, ends_B = self._users_E[list(indices)], self._targets_E[list(indices)]
        begins_B = self._sequences.offsets_S[users_B]
        prefixes = [self._sequences.items_N[begin:end] for begin, end in zip(begins_B, ends_B, strict=True)]
        return self._hard.retrieve(users_B, Sequences.of(prefixes, repeats=self._sequences.repeats))

    def _example(self, index: int, retrieved: npt.NDArray[np.int32], share: float) -> RankingExample:
        generator = np.random.default_rng([self._seed, 1, index])
        user, position = self._users_E[index], self._targets_E[index]
        begin = self._sequences.offsets_S[user]
        target = int(self._sequences.items_N[position])
        hard = hard_negatives(target, retrieved, share, self._k, generator)
        own = self._sequences.items_N[[position]] if self._sequences.repeats else self._sequences[user]
        easy = self._random_negatives(np.append(own, hard), self._k - 1 - len(hard), generator)
        shuffled = generator.permutation(np.concatenate([easy, hard, [target]])).astype(np.int32)
        answer = int(np.flatnonzero(shuffled == target)[0])
        return RankingExample.of(self._sequences.items_N[begin:position], shuffled, answer)

    def _random_negatives(
        self, taken: npt.NDArray[np.int32], count: int, generator: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Draw up to `count` distinct items that are not in `taken`."""
        free = np.setdiff1d(np.arange(1, self._item_count + 1), taken, assume_unique=False)
        return generator.choice(free, size=min(count, len(free)), replace=False)


def hard_negatives(
    target: int, retrieved: npt.NDArray[np.int32], share: float, k: int, generator: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Return the retriever's candidates that join the target in a pool of `k`.

    With a share of 1 these are all except the target, or except the last if the target is not among them.

    Args:
        target: The true item.
        retrieved: The retriever's top `k`, best first; 0 is no item.
        share: Probability of each candidate to be taken.
        k: Size of the pool.
        generator: Random generator; not advanced if the share is 0 or 1.
    """
    others: npt.NDArray[np.int32] = retrieved[(retrieved != target) & (retrieved > 0)][: k - 1]
    if share in (0, 1):
        return others[: round(share * len(others))]
    return others[generator.random(len(others)) < share]
