"""Properties of every neural retriever."""

import numpy as np
import pytest
import torch
from sequences import sequences_of

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out, training_sequences
from llamarec_cli.retrieval.batches import TrainingWindows, pack_histories
from llamarec_cli.retrieval.features import Source
from llamarec_cli.retrieval.registry import RETRIEVERS, RetrieverRow, retriever_row
from llamarec_cli.retrieval.trainer import Recipe
from llamarec_cli.retrieval.training import TrainingData, train_retriever
from llamarec_cli.retrieval.training_config import TrainingConfig

CPU = torch.device("cpu")
every_model = pytest.mark.parametrize(
    "row", [row for row in RETRIEVERS.values() if row.is_neural], ids=lambda row: row.name
)


def made(row: RetrieverRow, items: int, **config: object):  # type: ignore[no-untyped-def]
    """A model of a row; one that reads titles reads random vectors."""
    if not row.reads_titles:
        return row.model(items, row.config(**config))
    raw = raw_of(items)
    model = row.model(items, row.config(dimensions=4, hidden=8, **config), raw)
    model.refresh()
    return model


def raw_of(items: int) -> dict[Source, torch.Tensor]:
    return {Source.LANGUAGE_MODEL: torch.randn(items, 6, generator=torch.Generator().manual_seed(1))}


def vectors(model, *histories: list[int]) -> torch.Tensor:  # type: ignore[no-untyped-def]
    packed = pack_histories(sequences_of(*histories), np.arange(len(histories)), model.config.max_length, CPU)
    return model.user_vectors(packed)


@every_model
def test_a_history_has_the_same_vector_alone_and_in_a_batch(row: RetrieverRow) -> None:
    torch.manual_seed(0)
    model = made(row, 9, width=8, dropout=0.5, max_length=6).eval()
    histories = [[1], [2, 3, 4, 9], [5, 6], [7, 7, 7, 1, 2, 3, 4, 5]]
    together = vectors(model, *histories)
    for vector, history in zip(together, histories, strict=True):
        assert torch.allclose(vector, vectors(model, history)[0], atol=1e-5)


@every_model
def test_the_last_item_matters_and_what_is_beyond_the_window_does_not(row: RetrieverRow) -> None:
    torch.manual_seed(0)
    model = made(row, 9, width=8, max_length=3).eval()
    assert not torch.allclose(vectors(model, [1, 2, 3]), vectors(model, [1, 2, 4]))
    assert torch.allclose(vectors(model, [9, 1, 2, 3]), vectors(model, [5, 1, 2, 3]))


@every_model
def test_every_parameter_gets_a_gradient(row: RetrieverRow) -> None:
    torch.manual_seed(0)
    model = made(row, 9, width=8, dropout=0.0, max_length=6)
    windows = TrainingWindows.cut(sequences_of([1, 2, 3, 4, 5, 6, 7, 8], [9, 1], [4, 5, 6]), 6)
    model.training_loss(next(windows.epoch(8, seed=0, epoch=0, device=CPU))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("name", ["lrurec", "narm"])
def test_the_training_loss_is_that_of_every_prefix_on_its_own(name: str) -> None:
    row = retriever_row(name)
    torch.manual_seed(0)
    model = row.model(9, row.config(width=8, dropout=0.0, max_length=6))
    sequences = [[1, 2, 3, 4, 5], [9, 1], [4, 4, 6]]
    windows = TrainingWindows.cut(sequences_of(*sequences), 6)
    losses = []
    for sequence in sequences:
        for end in range(1, len(sequence)):
            scores = model.item_bias + vectors(model, sequence[:end])[0] @ model.embedding.weight.T
            losses.append(-torch.log_softmax(scores, -1)[sequence[end]])
    batch = next(windows.epoch(3, seed=0, epoch=0, device=CPU))
    assert torch.allclose(model.training_loss(batch), torch.stack(losses).mean(), atol=1e-5)


@every_model
def test_it_learns_what_comes_next(row: RetrieverRow, ring: PreparedData) -> None:
    raw = raw_of(ring.item_count) if row.reads_titles else None
    config = TrainingConfig(batch_size=16, epochs=60, validate_every=60, learning_rate=1e-2, patience=4)
    model, state = train_retriever(
        TrainingData(training_sequences(ring), held_out(ring, Split.VALIDATION), ring.item_count, raw),
        Recipe(row, row.config(width=16, dropout=0.0, max_length=12), config),
        device=CPU,
    )
    assert max(validation.recall for validation in state.validations) > 0.9
    assert not model.training
