"""A retriever is one row: with it alone, every command accepts the retriever."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from typer.testing import CliRunner

from llamarec_cli.cli import complete
from llamarec_cli.cli.app import app
from llamarec_cli.config import read_settings, table_names
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.retrieval.batches import TrainingBatch, last_positions
from llamarec_cli.retrieval.ensemble import Ensemble, EnsembleConfig
from llamarec_cli.retrieval.loss import catalogue_cross_entropy
from llamarec_cli.retrieval.presets import Preset, architecture_preset
from llamarec_cli.retrieval.registry import (
    RETRIEVERS,
    RetrieverClasses,
    RetrieverRow,
    build,
    describe,
    described_row,
    retriever_row,
)
from llamarec_cli.retrieval.scoring import FittedRetriever, SequenceModel
from llamarec_cli.store.registry import Store


@dataclass(frozen=True)
class ToyConfig:
    width: int = 16
    max_length: int = 12


class Toy(SequenceModel):
    """Predicts the next item from the last one alone."""

    def __init__(self, item_count: int, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(item_count + 1, config.width)
        self.map = nn.Linear(config.width, config.width)
        self.item_bias = nn.Parameter(torch.zeros(item_count + 1))

    def training_loss(self, batch: TrainingBatch) -> Tensor:
        vectors = self.map(self.embedding(batch.inputs.data))
        return catalogue_cross_entropy(vectors, self.embedding.weight, self.item_bias, batch.targets_P)

    def user_vectors(self, histories: PackedSequence) -> Tensor:
        return self.map(self.embedding(histories.data[last_positions(histories)]))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    row = RetrieverRow("toy", lambda: RetrieverClasses(Toy, ToyConfig), is_neural=True)
    monkeypatch.setitem(RETRIEVERS, "toy", row)


def run(*arguments: str, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def as_json(*arguments: str, stdin: str | None = None) -> Any:
    return json.loads(run(*arguments, "--json", stdin=stdin))


CONFIG = """
[toy]
width = 8

[ensemble]
retrievers = ["toy"]

[training]
batch_size = 16
epochs = 4
validate_every = 8
learning_rate = 0.01
"""


@pytest.mark.usefixtures("toy")
def test_a_row_is_in_help_completion_and_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "or toy" in " ".join(run("train", "retriever", "--help").split())
    assert "or toy" in " ".join(run("bench", "retriever", "--help").split())
    assert complete.retriever_models("to") == complete.neural_retrievers("to") == ["toy"]
    assert "toy" in table_names()
    (tmp_path / "c.toml").write_text(CONFIG)
    settings = read_settings(tmp_path / "c.toml", {"LLAMAREC_TOY_MAX_LENGTH": "6"})
    assert settings.tables["toy"] == {"width": 8, "max_length": 6}


@pytest.mark.usefixtures("toy")
def test_a_row_goes_through_every_command(raw_folder: Path, store_with_base: Store, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    on_ring = ("--dataset", "ml-100k")
    config = ("--config", str(tmp_path / "c.toml"))
    run("prepare", "ml-100k", "--source", str(raw_folder))
    trained = as_json("train", "retriever", *on_ring, "--model", "toy", *config)
    assert trained["name"] == "ml-100k/toy"
    assert store_with_base.open("ml-100k/toy").manifest.config["toy"]["width"] == 8
    assert set(as_json("evaluate", *on_ring)["models"]) == {"toy"}
    as_json("train", "ranker", *on_ring, "--retriever", "ml-100k/toy", "--strategy", "signals")
    ranked = as_json("recommend", *on_ring, "--history", "-", stdin='["Film 05", "Film 06"]')
    assert len(ranked["items"]) == 10
    assert {"toy", "llamarec"} <= set(as_json("evaluate", *on_ring)["models"])
    blend = as_json("train", "retriever", *on_ring, "--model", "ensemble", *config)["blend"]
    assert [part["name"] for part in blend["parts"]] == ["toy", "together", "following"]
    assert as_json("bench", "retriever", *on_ring, "--model", "toy", "--steps", "1")["model"] == "toy"


@pytest.mark.usefixtures("toy")
def test_a_row_without_tuned_values_takes_its_own_defaults() -> None:
    for preset in Preset:
        assert architecture_preset("games", RETRIEVERS["toy"], preset) == ToyConfig()


@pytest.mark.parametrize("row", RETRIEVERS.values(), ids=lambda row: row.name)
def test_a_row_states_what_its_classes_are(row: RetrieverRow) -> None:
    assert row.is_neural == issubclass(row.model, SequenceModel)
    assert row.is_neural != issubclass(row.model, FittedRetriever)
    fields = row.config.__dataclass_fields__
    assert row.blends == ("retrievers" in fields)
    assert row.reads_titles == ({"features", "depths", "title_tokens"} <= set(fields))
    assert not row.is_neural or "max_length" in fields
    assert set(row.tuned.model) <= set(fields)


def test_the_names_are_read_without_torch() -> None:
    code = (
        "import sys\n"
        "from llamarec_cli.cli import complete\n"
        "from llamarec_cli.config import table_names\n"
        "assert complete.retriever_models('') and complete.features('') and complete.retriever_presets('')\n"
        "assert 'lrurec' in table_names()\n"
        "sys.exit(bool({'torch', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_retriever_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean sasrec"):
        retriever_row("sasrek")


def test_a_retriever_is_built_from_its_description() -> None:
    members = [build({"lrurec": {"width": 8}}, 5), build({"sasrec": {"width": 8}}, 5)]
    ensemble = Ensemble(5, EnsembleConfig(neighbours=2, retrievers=("lrurec", "sasrec")), members)
    tables = {"dataset": "games", **describe(ensemble)}
    assert described_row(tables).name == "ensemble"
    again = build(tables, 5)
    again.load_state_dict(ensemble.state_dict())
    assert describe(again) == describe(ensemble)


def test_a_description_of_another_version_is_an_error() -> None:
    with pytest.raises(LlamaRecError, match="another version"):
        build({"ensemble": {"retriever": "lrurec"}, "blended": []}, 5)
