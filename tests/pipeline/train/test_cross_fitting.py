"""The retrievers of the two halves: neither has seen whom it serves, and both are the same after an interruption."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Sequences, training_sequences
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.prepare import need_dataset, prepare_dataset
from llamarec_cli.pipeline.train import cross_fitting
from llamarec_cli.pipeline.train.cross_fitting import CrossFitting
from llamarec_cli.pipeline.train.retriever import run_training
from llamarec_cli.pipeline.train.retriever import train as train_retriever
from llamarec_cli.pipeline.train.retriever_plan import Plan, RetrieverRequest
from llamarec_cli.retrieval.training import Limits
from llamarec_cli.store.registry import Artefact

K = 8
OVERRIDES = {
    "lrurec": {"width": 16, "blocks": 1, "max_length": 12},
    "ensemble": {"retrievers": ["lrurec"]},
    "training": {"batch_size": 16, "epochs": 12, "validate_every": 8, "learning_rate": 1e-2},
}


@pytest.fixture
def data(context: Context, raw_folder: Path) -> PreparedData:
    prepare_dataset(context, "ml-100k", raw_folder)
    return need_dataset(context, "ml-100k")[0]


@pytest.fixture
def first_stage(context: Context, data: PreparedData) -> Artefact:
    return train_retriever(context, RetrieverRequest("ml-100k", overrides=OVERRIDES))


def make(context: Context, data: PreparedData, first_stage: Artefact, seed: int = 1) -> CrossFitting:
    return CrossFitting(context, "ml-100k/ranker", data, first_stage, K, seed)


def everybody(data: PreparedData) -> tuple[np.ndarray, Sequences]:
    return np.arange(data.user_count), training_sequences(data)


def test_each_half_is_served_by_a_retriever_of_the_other(
    context: Context, data: PreparedData, first_stage: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []

    def watched(context: Context, plan: Plan, limits: Limits) -> Any:
        plans.append(plan)
        return run_training(context, plan, limits)

    monkeypatch.setattr(cross_fitting, "run_training", watched)
    made = make(context, data, first_stage)
    users, prefixes = everybody(data)
    found = made.retrieve(users, prefixes)
    assert found.shape == (60, K)
    for user, items in enumerate(found):
        assert not set(items.tolist()) & set(prefixes[user].tolist())

    config = first_stage.manifest.config
    trained_on = [set(plan.data.user_ids) for plan in plans]
    assert [len(users) for users in trained_on] == [30, 30]
    assert trained_on[0].isdisjoint(trained_on[1])
    assert all(dataclasses.asdict(plan.model_config) == config["lrurec"] for plan in plans)
    assert all(dataclasses.asdict(plan.training) == config["training"] for plan in plans)
    # Of the users in the second half, the first retriever's own, only the second reads prefixes.
    own = np.array([user for user, name in enumerate(data.user_ids) if name in trained_on[0]])
    (served,) = {int(half) for half in made._half_U[own]}
    monkeypatch.setattr(made, "_retrievers", [None, made._retrievers[1]])
    assert served == 1
    assert np.array_equal(made.retrieve(users[own], Sequences(*_joined(prefixes, own))), found[own])


def _joined(prefixes: Sequences, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chosen = [prefixes[user] for user in users]
    return np.concatenate(chosen), np.cumsum([0, *map(len, chosen)])


def test_the_states_are_taken_up_again_and_cleared(
    context: Context, data: PreparedData, first_stage: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = make(context, data, first_stage), make(context, data, first_stage, seed=2)
    found = first.retrieve(*everybody(data))
    assert not np.array_equal(other.retrieve(*everybody(data)), found)
    work = context.store.home / "work"
    assert len(list(work.iterdir())) == 4
    steps: list[int] = []
    monkeypatch.setattr("llamarec_cli.retrieval.trainer.Trainer.step", lambda *_: steps.append(1))
    again = make(context, data, first_stage)
    assert np.array_equal(again.retrieve(*everybody(data)), found)
    assert again.figures() == first.figures()
    assert steps == []
    again.clear()
    other.clear()
    assert list(work.iterdir()) == []


class _KilledError(Exception):
    pass


def test_interrupted_in_the_second_half_it_goes_on_to_the_same_candidates(
    context: Context, data: PreparedData, first_stage: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(context, data, first_stage)
    found = whole.retrieve(*everybody(data))
    whole.clear()
    save, saved = TrainingStates.save, []

    def dying(states: TrainingStates, *arguments: Any) -> None:
        save(states, *arguments)
        saved.append(states._name)
        if saved.count("ml-100k/ranker.seed-1.half-1") == 2:
            raise _KilledError

    monkeypatch.setattr(TrainingStates, "save", dying)
    with pytest.raises(_KilledError):
        make(context, data, first_stage).retrieve(*everybody(data))
    saved.clear()
    assert np.array_equal(make(context, data, first_stage).retrieve(*everybody(data)), found)
    assert set(saved) == {"ml-100k/ranker.seed-1.half-1"}


def test_figures_tell_recall_of_users_seen_and_unseen(
    context: Context, data: PreparedData, first_stage: Artefact
) -> None:
    figures = make(context, data, first_stage).figures()
    assert [one["users"] for one in figures] == [30, 30]
    assert all(0 <= one[key] <= 1 for one in figures for key in ("recall_seen", "recall_unseen"))


@pytest.mark.parametrize("model", ["popularity", "ensemble"])
def test_a_first_stage_that_is_not_trained_by_gradient(context: Context, data: PreparedData, model: str) -> None:
    first_stage = train_retriever(context, RetrieverRequest("ml-100k", model=model, overrides=OVERRIDES))
    made = make(context, data, first_stage)
    found = made.retrieve(*everybody(data))
    assert (found > 0).all()
    made.clear()
    assert list((context.store.home / "work").glob("*")) == []


def test_too_few_users_are_a_sentence(context: Context, data: PreparedData, first_stage: Artefact) -> None:
    with pytest.raises(LlamaRecError, match="too few users"):
        make(context, data.of_users(np.array([3])), first_stage).figures()
