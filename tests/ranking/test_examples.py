import numpy as np
import pytest

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import training_sequences
from llamarec_cli.ranking.examples import TrainingExamples


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


def test_an_example_follows_from_seed_and_index(ring: PreparedData) -> None:
    sequences = training_sequences(ring)
    first, again, other = (TrainingExamples(sequences, ring.item_count, k=20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first[5].candidates, again[5].candidates)
    assert not np.array_equal(first[5].candidates, other[5].candidates)


@pytest.mark.parametrize("k", [100])
def test_a_catalogue_smaller_than_the_pool_gives_what_it_has(ring: PreparedData, k: int) -> None:
    example = TrainingExamples(training_sequences(ring), ring.item_count, k=k, seed=1)[0]
    assert len(example.candidates) == ring.item_count - 10 + 1
