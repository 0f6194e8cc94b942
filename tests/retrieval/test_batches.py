import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sequences import sequences_of
from torch.nn.utils.rnn import pad_packed_sequence

from llamarec_cli.retrieval.batches import TrainingWindows, last_positions, pack_histories, pack_slices

CPU = torch.device("cpu")


def test_every_position_is_a_target_exactly_once() -> None:
    windows = TrainingWindows.cut(sequences_of([1, 2, 3, 4, 5, 6, 7, 8], [9], [10, 11]), max_length=3)
    targets = [batch.targets_P.tolist() for batch in windows.epoch(2, seed=1, epoch=0, device=CPU)]
    assert sorted(sum(targets, [])) == [2, 3, 4, 5, 6, 7, 8, 11]
    assert windows.lengths_W.max() == 3


def test_each_target_is_what_follows_its_input() -> None:
    windows = TrainingWindows.cut(sequences_of(list(range(1, 30)), [40, 41, 42]), max_length=7)
    for batch in windows.epoch(3, seed=1, epoch=0, device=CPU):
        assert torch.equal(batch.targets_P, batch.inputs.data + 1)


def test_an_epoch_follows_from_seed_and_number() -> None:
    windows = TrainingWindows.cut(sequences_of(*([user, user + 1] for user in range(1, 20))), max_length=3)

    def order(seed: int, epoch: int) -> list[int]:
        return sum((batch.targets_P.tolist() for batch in windows.epoch(4, seed, epoch, CPU)), [])

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    assert sorted(order(1, 0)) == sorted(order(1, 1))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=8), st.integers(1, 10))
def test_packed_histories_are_the_most_recent_items_of_each(histories: list[list[int]], max_length: int) -> None:
    packed = pack_histories(sequences_of(*histories), np.arange(len(histories)), max_length, CPU)
    padded, lengths = pad_packed_sequence(packed, batch_first=True)
    for row, length, history in zip(padded, lengths, histories, strict=True):
        assert row[:length].tolist() == history[-max_length:]
    assert packed.data[last_positions(packed)].tolist() == [history[-1] for history in histories]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 99), min_size=0, max_size=20), min_size=1, max_size=6), st.integers(1, 7))
def test_windows_cover_every_target_whatever_the_lengths(sequences: list[list[int]], max_length: int) -> None:
    windows = TrainingWindows.cut(sequences_of(*sequences), max_length)
    batches = windows.epoch(3, seed=0, epoch=0, device=CPU) if len(windows) else iter(())
    found = sum((batch.targets_P.tolist() for batch in batches), [])
    assert sorted(found) == sorted(sum((sequence[1:] for sequence in sequences), []))


def test_packing_is_by_time_and_within_it_by_decreasing_length() -> None:
    items, lengths = np.array([1, 2, 3, 4, 5, 6], dtype=np.int32), np.array([1, 3, 2])
    packed, positions = pack_slices(items, np.cumsum(lengths) - lengths, lengths, CPU)
    assert packed.data.tolist() == [2, 5, 1, 3, 6, 4]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert positions.tolist() == [1, 4, 0, 2, 5, 3]
    assert packed.data[last_positions(packed)].tolist() == [1, 4, 6]
