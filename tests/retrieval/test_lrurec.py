import numpy as np
import pytest
import torch

from llamarec_cli.retrieval.batches import pack_slices
from llamarec_cli.retrieval.lrurec import LRURec, LRURecConfig

CPU = torch.device("cpu")


def packed_of(*sequences: list[int]):  # type: ignore[no-untyped-def]
    lengths = np.array([len(sequence) for sequence in sequences])
    items = np.array(sum(sequences, []), dtype=np.int32)
    return pack_slices(items, np.cumsum(lengths) - lengths, lengths, CPU)


def test_a_sequence_has_the_same_states_alone_and_in_a_batch() -> None:
    torch.manual_seed(0)
    model = LRURec(9, LRURecConfig(width=8, dropout=0.5)).eval()
    sequences = [[1], [2, 3, 4, 9], [5, 6], [7, 7, 7, 1]]
    together = model.user_vectors(packed_of(*sequences)[0])
    for row, sequence in zip(together, sequences, strict=True):
        assert torch.allclose(row, model.user_vectors(packed_of(sequence)[0])[0], atol=1e-6)


def test_item_by_item_it_ends_where_a_full_pass_ends() -> None:
    torch.manual_seed(0)
    model = LRURec(9, LRURecConfig(width=8)).eval()
    history = [3, 1, 4, 1, 5, 9, 2, 6]
    state = model.start()
    for length, item in enumerate(history, start=1):
        state = model.advance(state, item)
        whole = model.user_vectors(packed_of(history[:length])[0])[0]
        assert torch.allclose(state.vector_D, whole, atol=1e-6)


def test_the_future_does_not_leak_into_the_past() -> None:
    torch.manual_seed(0)
    model = LRURec(9, LRURecConfig(width=8)).eval()
    assert torch.allclose(model(packed_of([1, 2, 3, 4])[0])[:3], model(packed_of([1, 2, 3, 9])[0])[:3])


def test_the_recurrence_starts_stable_within_the_ring() -> None:
    torch.manual_seed(0)
    radius = LRURec(5, LRURecConfig(r_min=0.8, r_max=0.99)).blocks[0].unit.decay().abs()
    assert radius.min() >= 0.8 - 1e-6
    assert radius.max() <= 0.99 + 1e-6


@pytest.mark.parametrize("wrong", [{"dropout": 1.0}, {"r_max": 1.0}, {"blocks": 0}, {"max_length": 0}])
def test_a_configuration_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        LRURecConfig(**wrong)  # type: ignore[arg-type]
