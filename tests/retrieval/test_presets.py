import pytest

from llamarec_cli.retrieval.presets import Preset, architecture_preset, training_preset
from llamarec_cli.retrieval.registry import RETRIEVERS, retriever_row


def test_the_paper_reads_200_items_of_ml_100k_and_50_elsewhere_in_its_batches() -> None:
    row = retriever_row("lrurec")
    for dataset, length, batch in (("ml-100k", 200, 16), ("ml-100k-1998", 200, 16), ("beauty", 50, 64)):
        model = architecture_preset(dataset, row, Preset.PAPER)
        training = training_preset(dataset, row, Preset.PAPER)
        assert (model.max_length, model.dropout) == (length, 0.2)
        assert (training.batch_size, training.patience, training.averaging) == (batch, 20, 0)


@pytest.mark.parametrize(
    ("name", "dropout", "batch", "patience", "learning_rate"),
    [
        ("lrurec", 0.5, 64, 6, 1e-3),
        ("sasrec", 0.5, 64, 6, 1e-3),
        ("bert4rec", 0.3, 64, 6, 1e-3),
        ("narm", 0.5, 64, 6, 1e-3),
        ("textrec", 0.3, 128, 4, 3e-3),
    ],
)
def test_tuned_values(name: str, dropout: float, batch: int, patience: int, learning_rate: float) -> None:
    row = retriever_row(name)
    training = training_preset("games", row)
    assert architecture_preset("games", row).dropout == dropout
    assert (training.batch_size, training.patience, training.learning_rate) == (batch, patience, learning_rate)
    assert training.averaging == 0.999


def test_every_retriever_has_a_preset() -> None:
    for row in RETRIEVERS.values():
        assert isinstance(architecture_preset("ml-100k", row), row.config)
