from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest, make_plan, resolve_settings
from llamarec_cli.pipeline.train.retriever import train as train_retriever
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.store.registry import Store

OVERRIDES: dict[str, dict[str, Any]] = {
    "lrurec": {"width": 8, "blocks": 1, "max_length": 12},
    "training": {"batch_size": 16, "epochs": 2, "validate_every": 8},
    "ranker": {"validation_users": 5, "seed": 3},
}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"k": 51}, "`k` must be between 2 and 50, not 51"),
        ({"strategy": "pointwise"}, "no strategy called pointwise"),
        ({"signals": ["title"]}, "did you mean titles"),
        ({"preset": "gpu"}, "no preset called gpu"),
        ({"quantize": "int3"}, "no quantisation called int3"),
        ({"overrides": {"ranker": {"lr": 1.0}}}, "lr is not a configuration key"),
    ],
)
@pytest.mark.parametrize("strategy", ["verbalizer", "likelihood", "signals"])
def test_mistakes_are_reported_before_anything_is_made(
    context: Context, home: Path, strategy: str, wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        resolve_settings(context, RankerRequest("games", **{"strategy": strategy, **wrong}))
    assert not home.exists() or not any(home.rglob("*.safetensors"))


def test_defaults_are_filled_in(context: Context) -> None:
    settings = resolve_settings(context, RankerRequest("games", signals=["titles", "titles"]))
    assert settings.request.checkpoint == "games/smollm2-135m"
    assert settings.signals == ("titles",)
    assert resolve_settings(context, RankerRequest("games", strategy="likelihood")).strategy == "likelihood"
    assert not resolve_settings(context, RankerRequest("games", strategy="likelihood")).trains_by_gradient
    assert resolve_settings(context, RankerRequest("games", strategy="verbalizer")).trains_by_gradient
    assert resolve_settings(context, RankerRequest("games", strategy="signals")).strategy is None


def test_users_that_select_a_step_are_not_those_of_the_fusion(raw_folder: Path, store_with_base: Store) -> None:
    context = Context(store_with_base, "test")
    prepare_dataset(context, "ml-100k", raw_folder)
    train_retriever(context, RetrieverRequest("ml-100k", overrides=OVERRIDES))
    request: dict[str, Any] = {"retriever": "ml-100k/lrurec", "overrides": OVERRIDES}
    plans = {
        strategy: make_plan(context, resolve_settings(context, RankerRequest("ml-100k", strategy=strategy, **request)))
        for strategy in ("verbalizer", "likelihood", "signals")
    }
    found = plans["verbalizer"].found
    assert len(plans["verbalizer"].selection) == 5
    assert len(plans["verbalizer"].fusing) == len(found.retrieved) - 5
    selecting = np.setdiff1d(found.retrieved, plans["verbalizer"].fusing)
    assert (found.ranks_S[selecting] <= 20).all()
    for strategy in ("likelihood", "signals"):
        assert np.array_equal(plans[strategy].fusing, found.retrieved)
    # Neither overwrites the saved state of the other.
    assert len({plan.training_state()[0] for plan in plans.values()}) == 3
    assert plans["verbalizer"].manifest(context).config["ranker"]["validation_users"] == 5
    assert "ranker" not in plans["likelihood"].manifest(context).config


def test_a_retriever_that_finds_nobody_is_reported(
    raw_folder: Path, store_with_base: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(store_with_base, "test")
    prepare_dataset(context, "ml-100k", raw_folder)
    monkeypatch.setattr("llamarec_cli.pipeline.train.ranker_plan.retrieved_examples", lambda *_: [])
    settings = resolve_settings(context, RankerRequest("ml-100k", strategy="signals", retriever="ml-100k/popularity"))
    with pytest.raises(LlamaRecError, match="ml-100k/popularity retrieves no validation user's item") as caught:
        make_plan(context, settings)
    assert caught.value.hint == "llamarec train retriever --dataset ml-100k --replace"


def test_a_ranker_of_signals_needs_no_base_model(context: Context, raw_folder: Path) -> None:
    prepare_dataset(context, "ml-100k", raw_folder)
    train_retriever(context, RetrieverRequest("ml-100k", overrides=OVERRIDES))
    request = RankerRequest("ml-100k", strategy="signals", retriever="ml-100k/lrurec", overrides=OVERRIDES)
    plan = make_plan(context, resolve_settings(context, request))
    assert plan.base is None
    assert plan.base_name == DEFAULT_BASE
    assert set(plan.parents) == {"ml-100k", "ml-100k/lrurec"}
    assert "smollm2-135m" not in context.store
