"""Training examples of the ranker: every prefix of every training sequence, with negatives.

The target is the item that follows a prefix, and the pool holds it among others, in random order. In evaluation the
pool is the retriever's top 20. The others of the pool, the negatives, are as in the paper's code drawn uniformly from
the items that the user has not interacted with. Beyond the paper they may come from a retriever, as they do in
evaluation: the items that it would have retrieved after the prefix, had it never seen this user.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.data.splits import Sequences

# The paper reads at most so many items of a history: the most recent ones.
MAX_HISTORY = 20


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


@dataclass(frozen=True)
class HardNegatives:
    """A retriever's candidates as negatives.

    Attributes:
        retrieve: Maps users (B indices) and a prefix of each one's sequence to the retriever's top K, best first, at
            most B x K item ids, with 0 where fewer are left; the items of a prefix are never among its own.
        curriculum_examples: Examples over which the share of the retriever's negatives rises from 0 to 1; 0 for 1 at
            once.
    """

    retrieve: Callable[[npt.NDArray[np.int64], Sequences], npt.NDArray[np.int32]]
    curriculum_examples: int = 0

    def share(self, number: int) -> float:
        """Return the probability that a negative of an example is the retriever's, after `number` other examples."""
        return min(1.0, number / self.curriculum_examples) if self.curriculum_examples else 1.0


class TrainingExamples:
    """All training examples, made batch by batch, each from (seed, index) alone.

    Args:
        sequences: Training part of each user's sequence.
        item_count: Number of items, without the padding.
        k: Size of the pool.
        seed: Of order, negatives and shuffling.
        hard: Where negatives come from if they are not all random.
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
        """Return one example; the same index always gives the same one."""
        return self.batch([index])[0]

    def batch(self, indices: Sequence[int], passed: int = 0) -> list[RankingExample]:
        """Return several examples, whose prefixes a retriever reads at once.

        Args:
            indices: Of the examples.
            passed: Examples of earlier epochs, which count in the curriculum of hard negatives.
        """
        shares = [self._hard.share(passed + index) if self._hard else 0.0 for index in indices]
        retrieved_BK = self._retrieved(indices) if any(shares) else np.zeros((len(indices), 0), dtype=np.int32)
        return [self._example(*one) for one in zip(indices, retrieved_BK, shares, strict=True)]

    def _retrieved(self, indices: Sequence[int]) -> npt.NDArray[np.int32]:
        assert self._hard is not None
        users_B, ends_B = self._users_E[list(indices)], self._targets_E[list(indices)]
        begins_B = self._sequences.offsets_S[users_B]
        prefixes = [self._sequences.items_N[begin:end] for begin, end in zip(begins_B, ends_B, strict=True)]
        offsets = np.concatenate([[0], np.cumsum(ends_B - begins_B)]).astype(np.int64)
        return self._hard.retrieve(users_B, Sequences(np.concatenate(prefixes), offsets))

    def _example(self, index: int, retrieved: npt.NDArray[np.int32], share: float) -> RankingExample:
        generator = np.random.default_rng([self._seed, 1, index])
        user, position = self._users_E[index], self._targets_E[index]
        begin = self._sequences.offsets_S[user]
        history = self._sequences.items_N[max(begin, position - MAX_HISTORY) : position]
        target = int(self._sequences.items_N[position])
        hard = hard_negatives(target, retrieved, share, self._k, generator)
        easy = self._random_negatives(np.append(self._sequences[user], hard), self._k - 1 - len(hard), generator)
        shuffled = generator.permutation(np.concatenate([easy, hard, [target]])).astype(np.int32)
        return RankingExample(history, shuffled, int(np.flatnonzero(shuffled == target)[0]))

    def _random_negatives(
        self, taken: npt.NDArray[np.int32], count: int, generator: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Draw up to `count` distinct items of which none is taken."""
        free = np.setdiff1d(np.arange(1, self._item_count + 1), taken, assume_unique=False)
        return generator.choice(free, size=min(count, len(free)), replace=False)


def hard_negatives(
    target: int, retrieved: npt.NDArray[np.int32], share: float, k: int, generator: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Return those of a retriever's candidates that go into a pool of `k` beside the target.

    With a share of 1 they are all but the target; if that is not among them it takes the place of the last.

    Args:
        target: The true item.
        retrieved: The retriever's top `k`, best first; 0 is no item.
        share: Probability of each to be taken.
        k: Size of the pool.
        generator: Draws which are taken; untouched if there is no choice.
    """
    others: npt.NDArray[np.int32] = retrieved[(retrieved != target) & (retrieved > 0)][: k - 1]
    if share in (0, 1):
        return others[: round(share * len(others))]
    return others[generator.random(len(others)) < share]
