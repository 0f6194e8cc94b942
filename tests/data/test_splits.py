"""Leave-one-out splits."""

import numpy as np
import pytest

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Sequences, Split, held_out, training_sequences


def data_of(*sequences: list[int], repeats: bool = False) -> PreparedData:
    lengths = [len(sequence) for sequence in sequences]
    return PreparedData(
        items_N=np.array(sum(sequences, []), dtype=np.int32),
        offsets_U=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        timestamps_N=None,
        user_ids=[str(user) for user in range(len(sequences))],
        item_ids=[str(item) for item in range(10)],
        titles=[str(item) for item in range(10)],
        repeats=repeats,
    )


def test_last_item_tests_second_last_validates_rest_trains() -> None:
    data = data_of([1, 2, 3, 4, 5], [6, 7, 8])
    train = training_sequences(data)
    assert [train[user].tolist() for user in range(2)] == [[1, 2, 3], [6]]
    validation = held_out(data, Split.VALIDATION)
    assert validation.targets_S.tolist() == [4, 7]
    assert [validation.histories[user].tolist() for user in range(2)] == [[1, 2, 3], [6]]
    test = held_out(data, Split.TEST)
    assert test.targets_S.tolist() == [5, 8]
    assert [test.histories[user].tolist() for user in range(2)] == [[1, 2, 3, 4], [6, 7]]


def test_users_too_short_to_hold_out_train_whole_and_are_not_evaluated() -> None:
    data = data_of([1, 2], [3, 4, 5], [6])
    train = training_sequences(data)
    assert [train[user].tolist() for user in range(3)] == [[1, 2], [3], [6]]
    assert held_out(data, Split.TEST).users_S.tolist() == [1]


@pytest.mark.parametrize("repeats", [False, True])
def test_every_sequence_knows_whether_repeats_are_kept(repeats: bool) -> None:
    data = data_of([1, 2, 1, 2, 1], [6, 7, 8], repeats=repeats).of_users(np.array([0]))
    cases = held_out(data, Split.TEST)
    for sequences in (
        training_sequences(data),
        cases.histories,
        cases.of_users(np.array([0])).histories,
        Sequences.of([data.items_N, data.items_N[:2]], repeats=repeats),
    ):
        assert sequences.repeats is repeats


def test_separate_sequences_are_joined() -> None:
    joined = Sequences.of([np.array([3, 4], dtype=np.int32), np.array([5], dtype=np.int32)], repeats=False)
    assert [joined[index].tolist() for index in range(2)] == [[3, 4], [5]]
    assert (joined.items_N.dtype, joined.offsets_S.dtype) == (np.int32, np.int64)


def test_the_share_of_masked_targets() -> None:
    # The test items of the first two users, and the validation item of the first, are in the histories before them.
    sequences = ([1, 2, 1, 2], [6, 7, 6], [1, 2, 3], [4, 5, 8])
    cases = {split: held_out(data_of(*sequences), split) for split in Split}
    assert (cases[Split.VALIDATION].masked_share(), cases[Split.TEST].masked_share()) == (0.25, 0.5)
    assert held_out(data_of(*sequences, repeats=True), Split.TEST).masked_share() == 0
    assert held_out(data_of([1, 2]), Split.TEST).masked_share() == 0


def test_no_user_to_evaluate() -> None:
    assert len(held_out(data_of([1, 2]), Split.TEST)) == 0


def test_some_users_alone_keep_the_vocabulary() -> None:
    data = data_of([1, 2, 3], [4, 5], [6], [7, 8])
    some = data.of_users(np.array([1, 3]))
    assert some.items_N.tolist() == [4, 5, 7, 8]
    assert some.offsets_U.tolist() == [0, 2, 4]
    assert some.user_ids == ["1", "3"]
    assert some.vocabulary_digest() == data.vocabulary_digest()
