from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sequences import sequences_of

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Sequences, training_sequences
from llamarec_cli.ranking.examples import (
    MAX_HISTORY,
    HardNegatives,
    RankingExample,
    TrainingExamples,
    hard_negatives,
    recent,
)


def test_a_history_is_truncated_to_its_most_recent_items() -> None:
    assert recent([1, 2, 3]) == [1, 2, 3]
    assert recent(list(range(25))) == list(range(5, 25))
    example = RankingExample.of(np.arange(MAX_HISTORY + 1, dtype=np.int32), np.array([7, 8], dtype=np.int32), 1)
    assert example.history.tolist() == list(range(1, MAX_HISTORY + 1))
    assert example.answer == 1


def test_every_prefix_once_and_in_shuffled_order(ring: PreparedData) -> None:
    sequences = training_sequences(ring)
    examples = TrainingExamples(sequences, ring.item_count, k=20, seed=1)
    lengths = np.diff(sequences.offsets_S)
    assert len(examples) == (lengths - 1).sum()
    seen = sorted(
        (tuple(example.history.tolist()), int(example.candidates[example.answer]))
        for example in (examples[index] for index in range(len(examples)))
    )
    expected = sorted(
        (tuple(sequences[user][:end].tolist()), int(sequences[user][end]))
        for user in range(len(sequences))
        for end in range(1, lengths[user])
    )
    assert seen == expected


def test_pools_hold_the_target_and_only_unseen_negatives(ring: PreparedData) -> None:
    sequences = training_sequences(ring)
    examples = TrainingExamples(sequences, ring.item_count, k=20, seed=1)
    whole = {tuple(sequences[user].tolist()) for user in range(len(sequences))}
    answers = set()
    for index in range(100):
        example = examples[index]
        assert len(set(example.candidates.tolist())) == len(example.candidates) == 20
        target = example.candidates[example.answer]
        own = [set(user) for user in whole if tuple(example.history.tolist()) == user[: len(example.history)]]
        negatives = set(example.candidates.tolist()) - {int(target)}
        assert any(not negatives & user for user in own)
        answers.add(example.answer)
    assert len(answers) > 15


def test_where_repeats_are_kept_items_of_the_history_are_negatives_too() -> None:
    for repeats, expected in ((False, {3, 4, 5}), (True, {1, 3, 4, 5})):
        examples = TrainingExamples(sequences_of([1, 2], repeats=repeats), 5, k=10, seed=1)
        (example,) = examples.batch([0])
        assert example.history.tolist() == [1]
        assert sorted(example.candidates.tolist()) == sorted({2, *expected})


def test_hard_negatives_are_retrieved_with_the_meaning_of_repeats() -> None:
    for repeats in (False, True):
        asked: list[bool] = []

        def retrieved(users_B: npt.NDArray[np.int64], prefixes: Sequences, asked: list[bool] = asked) -> Any:
            asked.append(prefixes.repeats)
            return np.ones((len(users_B), 3), dtype=np.int32)

        sequences = sequences_of([1, 2, 1], repeats=repeats)
        TrainingExamples(sequences, 5, k=3, seed=1, hard=HardNegatives(retrieved)).batch([0, 1])
        assert asked == [repeats]


def test_an_example_follows_from_seed_and_index(ring: PreparedData) -> None:
    sequences = training_sequences(ring)
    first, again, other = (TrainingExamples(sequences, ring.item_count, k=20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first[5].candidates, again[5].candidates)
    assert not np.array_equal(first[5].candidates, other[5].candidates)


@pytest.mark.parametrize("k", [100])
def test_a_catalogue_smaller_than_the_pool_gives_what_it_has(ring: PreparedData, k: int) -> None:
    example = TrainingExamples(training_sequences(ring), ring.item_count, k=k, seed=1)[0]
    assert len(example.candidates) == ring.item_count - 10 + 1


K = 6
GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("retrieved", "expected"),
    [
        ([7, 3, 9, 4, 5, 6], [7, 3, 4, 5, 6]),  # the target was retrieved
        ([7, 3, 8, 4, 5, 6], [7, 3, 8, 4, 5]),  # it was not, and takes the place of the last
        ([7, 9, 0, 0, 0, 0], [7]),  # a catalogue in which no more is left
        ([9, 0, 0, 0, 0, 0], []),
    ],
)
def test_the_target_is_in_the_retrievers_pool(retrieved: list[int], expected: list[int]) -> None:
    assert hard_negatives(9, np.array(retrieved, dtype=np.int32), 1.0, K, GENERATOR).tolist() == expected
    assert hard_negatives(9, np.array(retrieved, dtype=np.int32), 0.0, K, GENERATOR).tolist() == []


class NextItems:
    """Retrieves the K items that follow the last one on the ring, as far as they are not in the history."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, tuple[int, ...]]] = []

    def __call__(self, users_B: npt.NDArray[np.int64], histories: Sequences) -> npt.NDArray[np.int32]:
        rows = []
        for place, user in enumerate(users_B):
            history = histories[place].tolist()
            self.asked.append((int(user), tuple(history)))
            following = [(history[-1] + step) % 40 + 1 for step in range(40)]
            rows.append([item for item in following if item not in history][:K])
        return np.array(rows, dtype=np.int32)


def test_a_retriever_reads_the_prefix_and_gives_the_pool(ring: PreparedData) -> None:
    sequences, retrieve = training_sequences(ring), NextItems()
    examples = TrainingExamples(sequences, ring.item_count, K, seed=1, hard=HardNegatives(retrieve))
    batch = examples.batch(range(20))
    for example, (user, prefix) in zip(batch, retrieve.asked, strict=True):
        target = int(example.candidates[example.answer])
        assert [*prefix, target] == sequences[user][: len(prefix) + 1].tolist()
        assert example.history.tolist() == list(prefix)
        pool = NextItems()(np.array([user]), Sequences(np.array(prefix), np.array([0, len(prefix)])))[0].tolist()
        assert set(example.candidates.tolist()) == set(pool if target in pool else [*pool[:-1], target])
    assert len({example.answer for example in batch}) > 3
    assert [one.candidates.tolist() for one in batch] == [examples[index].candidates.tolist() for index in range(20)]


def test_a_curriculum_goes_from_random_to_the_retrievers_negatives(ring: PreparedData) -> None:
    sequences, count = training_sequences(ring), 200

    def pools(hard: HardNegatives | None, passed: int = 0) -> list[list[int]]:
        examples = TrainingExamples(sequences, ring.item_count, K, seed=1, hard=hard)
        return [example.candidates.tolist() for example in examples.batch(range(count), passed)]

    plain, hard = pools(None), pools(HardNegatives(NextItems()))
    mixed = pools(HardNegatives(NextItems(), curriculum_examples=100))
    assert mixed[0] == plain[0]
    assert mixed[100:] == hard[100:]
    assert all(len(set(pool)) == K for pool in mixed)
    shared = [len(set(one) & set(other)) for one, other in zip(mixed, hard, strict=True)]
    thirds = [np.mean(shared[begin : begin + 33]) for begin in (0, 33, 66)]
    assert thirds == sorted(thirds)
    assert thirds[0] < 3 < thirds[2]
    # In the next epoch the curriculum is over.
    assert pools(HardNegatives(NextItems(), curriculum_examples=100), passed=len(sequences) * 9) == hard


def test_without_a_share_the_retriever_is_not_asked(ring: PreparedData) -> None:
    retrieve = NextItems()
    hard = HardNegatives(retrieve, curriculum_examples=100)
    TrainingExamples(training_sequences(ring), ring.item_count, K, seed=1, hard=hard)[0]
    assert retrieve.asked == []
