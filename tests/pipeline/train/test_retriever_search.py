import dataclasses
from pathlib import Path

import pytest
import torch

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import load_retriever
from llamarec_cli.errors import UsageError
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.train import retriever_search
from llamarec_cli.pipeline.train.retriever import run_training
from llamarec_cli.pipeline.train.retriever_plan import Plan, RetrieverRequest
from llamarec_cli.pipeline.train.retriever_search import search
from llamarec_cli.retrieval.training import Limits

OVERRIDES = {
    "lrurec": {"width": 8, "blocks": 1, "max_length": 12},
    "training": {"batch_size": 16, "epochs": 20, "validate_every": 4, "learning_rate": 1e-2, "patience": 10},
}


@pytest.fixture(autouse=True)
def small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retriever_search, "SEARCHED_WEIGHT_DECAY", (0.0, 0.01))
    monkeypatch.setattr(retriever_search, "SEARCHED_DROPOUT", (0.1, 0.5))


@pytest.fixture
def prepared(context: Context, raw_folder: Path) -> Context:
    prepare_dataset(context, "ml-100k", raw_folder)
    return context


def test_half_is_given_up_at_each_rung_and_the_best_is_kept(prepared: Context) -> None:
    artefact = search(prepared, RetrieverRequest("ml-100k", model="lrurec", overrides=OVERRIDES))
    trials = artefact.manifest.metrics["search"]
    assert sorted(trial["steps"] for trial in trials)[:3] == [16, 16, 32]
    (chosen,) = (trial for trial in trials if trial["chosen"])
    assert artefact.manifest.config["lrurec"]["dropout"] == chosen["dropout"]
    assert artefact.manifest.config["training"]["weight_decay"] == chosen["weight_decay"]
    assert artefact.manifest.metrics["validation"]["recall@10"] == pytest.approx(chosen["recall"])
    reached_second = [trial for trial in trials if trial["steps"] > 16]
    assert chosen["recall"] >= max(trial["recall"] for trial in reached_second)
    assert not list((prepared.store.home / "work").iterdir())


class _KilledError(Exception):
    pass


def test_an_interrupted_search_goes_on_to_the_same_result(
    prepared: Context, raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def dying(context: Context, plan: Plan, limits: Limits):  # type: ignore[no-untyped-def]
        calls.append(plan.name)
        if len(calls) == 4:
            raise _KilledError
        return run_training(context, plan, limits)

    monkeypatch.setattr(retriever_search, "run_training", dying)
    with pytest.raises(_KilledError):
        search(prepared, RetrieverRequest("ml-100k", model="lrurec", overrides=OVERRIDES))
    monkeypatch.setattr(retriever_search, "run_training", run_training)
    resumed = search(prepared, RetrieverRequest("ml-100k", model="lrurec", overrides=OVERRIDES))

    store = dataclasses.replace(prepared, store=type(prepared.store)(tmp_path / "other"))
    prepare_dataset(store, "ml-100k", raw_folder)
    whole = search(store, RetrieverRequest("ml-100k", model="lrurec", overrides=OVERRIDES))
    assert resumed.manifest.metrics["search"] == whole.manifest.metrics["search"]


def test_what_has_nothing_to_search_is_refused(prepared: Context) -> None:
    with pytest.raises(UsageError, match="no weight decay and no dropout"):
        search(prepared, RetrieverRequest("ml-100k", model="popularity"))


def test_a_search_in_limited_time_is_refused(prepared: Context) -> None:
    with pytest.raises(UsageError, match="`search` and `max_minutes` do not go together"):
        search(prepared, RetrieverRequest("ml-100k", max_minutes=1))


def test_the_searched_model_loads(prepared: Context) -> None:
    from llamarec_cli.pipeline.prepare import need_dataset

    artefact = search(prepared, RetrieverRequest("ml-100k", model="lrurec", overrides=OVERRIDES))
    data, _ = need_dataset(prepared, "ml-100k")
    model = load_retriever(prepared, artefact.manifest.name, data).model
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
