"""A strategy is one file and one row: one that is defined here alone goes through the whole command line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import byte_tokenizer
from tiny_models import tiny_model
from typer.testing import CliRunner

from llamarec_cli.cli import complete
from llamarec_cli.cli.app import app
from llamarec_cli.errors import LlamaRecError, UnknownNameError
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.retrieval.conditional_logit import log_softmax
from llamarec_cli.store.registry import Store
from llamarec_cli.strategies.registry import (
    DEFAULT_STRATEGY,
    STRATEGIES,
    UNTRAINED_STRATEGY,
    ScorerOptions,
    StrategyRow,
    fusable_strategies,
    strategy_row,
)
from llamarec_cli.strategies.training import TrainingPlan

CONFIG = """
[lrurec]
width = 8
blocks = 1
max_length = 12

[training]
batch_size = 16
epochs = 4
validate_every = 8
"""
NUMBER_FILE = "number.json"


class Toy(CandidateScorer):
    """Prefers candidates whose id is the last of the history plus a number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> np.ndarray:
        return log_softmax(-np.abs(np.array(candidates) - history[-1] - self.number).astype(np.float64))


def make_toy(model: Any, tokenizer: Any, titles: Sequence[str], options: ScorerOptions) -> CandidateScorer:
    assert model.config.vocab_size == len(tokenizer) + 1
    return Toy(json.loads((options.checkpoint / NUMBER_FILE).read_text()) if options.checkpoint else 0)


def train_toy(plan: TrainingPlan, folder: Path) -> dict[str, Any]:
    assert plan.hyperparameters is None
    assert all(len(example.candidates) <= plan.k for example in plan.validation)
    (folder / NUMBER_FILE).write_text("1")
    return {"titles": len(plan.data.titles)}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    row = StrategyRow("toy", make_toy, fusable=True, train=train_toy, files=(NUMBER_FILE,))
    monkeypatch.setitem(STRATEGIES, "toy", row)


def run(*arguments: str, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_a_new_row_appears_in_help_and_completion(toy: None) -> None:
    assert "verbalizer, likelihood or toy" in " ".join(run("train", "ranker", "--help").split())
    for command in (("recommend",), ("evaluate",), ("bench", "latency")):
        assert "pointwise or toy" in " ".join(run(*command, "--help").split())
    assert complete.strategies("t") == complete.all_strategies("t") == ["toy"]


def test_a_new_row_is_trained_recommended_evaluated_and_measured(
    toy: None, raw_folder: Path, store_with_base: Store, tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    run("prepare", "ml-100k", "--source", str(raw_folder))
    train = ("train", "ranker", "--dataset", "ml-100k", "--retriever", "ml-100k/lrurec", "--strategy", "toy")
    ranker = json.loads(run(*train, "--config", str(tmp_path / "c.toml"), "--json"))
    assert ranker["titles"] == 41
    assert set(ranker["fusion"]["groups"]) == {"retriever", "toy", "retriever + signals", "retriever + toy", "all"}
    made = store_with_base.open("ml-100k/smollm2-135m")
    assert made.manifest.config["strategy"] == "toy"
    assert (made.path / NUMBER_FILE).read_text() == "1"
    assert list(store_with_base.work.iterdir()) == []

    asked = ("--dataset", "ml-100k", "--strategy", "toy", "--json")
    items = json.loads(run("recommend", "--history", "-", *asked, stdin='["film 05"]'))["items"]
    # Ids are sorted as text: "6" follows "5".
    assert items[0]["id"] == "6"
    evaluated = json.loads(run("evaluate", *asked, "--sample", "5"))
    assert set(evaluated["models"]) == {"ml-100k/lrurec", "toy"}
    measured = json.loads(run("bench", "latency", "--lengths", "1", "--repeats", "1", "--strategies", "toy", "--json"))
    assert [point["strategy"] for point in measured["points"]] == ["toy"]


def test_rows_have_what_their_use_needs() -> None:
    assert DEFAULT_STRATEGY in fusable_strategies()
    assert STRATEGIES[DEFAULT_STRATEGY].presets is not None
    assert UNTRAINED_STRATEGY in STRATEGIES
    for name, row in STRATEGIES.items():
        assert row.name == name
        assert bool(row.files) == (row.train is not None)
        assert row.train is not None or row.presets is None
        if row.presets is not None:
            assert {"paper", "cpu"} <= set(row.presets)
            assert len({type(preset) for preset in row.presets.values()}) == 1


def test_an_unknown_name_is_reported_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean likelihood"):
        strategy_row("likelyhood")
    with pytest.raises(UnknownNameError, match="no strategy called pointwise"):
        strategy_row("pointwise", fusable_strategies())


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_tokenizer_of_another_model_is_refused(strategy: str) -> None:
    with pytest.raises(LlamaRecError, match="has 256 tokens, and the model only 100"):
        STRATEGIES[strategy].make(
            tiny_model("llama", vocab_size=100, pad_token_id=0), byte_tokenizer(), ["", "Alien"], ScorerOptions()
        )
