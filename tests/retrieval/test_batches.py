import numpy as np
import torch

from llamarec_cli.data.splits import Sequences
from llamarec_cli.retrieval.batches import TrainingWindows

CPU = torch.device("cpu")


def sequences_of(*sequences: list[int]) -> Sequences:
    lengths = [len(sequence) for sequence in sequences]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Sequences(np.array(sum(sequences, []), dtype=np.int32), offsets)


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
