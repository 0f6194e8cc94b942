"""`train retriever`: train a sequential recommender for a prepared data set."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import (
    DEFAULT_RETRIEVER,
    TrainedRetriever,
    load_retriever,
    retriever_name,
    save_retriever,
)
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out, training_sequences
from llamarec_cli.devices import best_device
from llamarec_cli.errors import UsageError, command
from llamarec_cli.pipeline.prepare import warn_of_masked_items
from llamarec_cli.pipeline.train.forecast import announce_members
from llamarec_cli.pipeline.train.retriever_plan import Plan, RetrieverRequest, make_plan
from llamarec_cli.pipeline.train.title_vectors import raw_vectors
from llamarec_cli.retrieval.registry import RETRIEVERS, described_row
from llamarec_cli.retrieval.scoring import FittedRetriever, Fitting, Retriever, SequenceModel
from llamarec_cli.retrieval.trainer import RetrieverState, Validation
from llamarec_cli.retrieval.training import Limits, TrainingData, train_retriever
from llamarec_cli.snapshots import TrainingState
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact


def train(context: Context, request: RetrieverRequest) -> Artefact:
    """Train a retriever and save it with its ranks and candidates.

    Args:
        context: Store and reporting callbacks.
        request: What to train, and how.

    Returns:
        The checkpoint.

    Raises:
        LlamaRecError: The name is taken, the data set cannot be had or is too small, or training diverged.
        UsageError: The configuration is wrong.
    """
    with context.store.making(request.checkpoint, context.say):
        plan = make_plan(context, request)
        warn_of_masked_items(context, plan.dataset, plan.data)
        return _train(context, plan, request)


def _train(context: Context, plan: Plan, request: RetrieverRequest) -> Artefact:
    if not plan.row.is_neural:
        return _fit(context, plan, request)
    trained, state = run_training(context, plan, Limits(max_minutes=request.max_minutes))
    return save_trained(context, plan, trained, state, replace=request.replace)


def run_training(context: Context, plan: Plan, limits: Limits) -> tuple[SequenceModel, RetrieverState]:
    """Train a neural retriever, resuming from a saved state if there is one, and save the state at each validation."""
    states = plan.states(context)
    saved = states.load()
    raw = raw_vectors(context, plan.parent, plan.data, plan.model_config, plan.base) if plan.row.reads_titles else None
    validation = held_out(plan.data, Split.VALIDATION)
    return train_retriever(
        TrainingData(training_sequences(plan.data), validation, plan.data.item_count, raw),
        plan.recipe,
        device=best_device(),
        limits=limits,
        resume=TrainingState.restore(Validation, *saved) if saved else None,
        save_state=lambda state: states.save(state.tensors, state.numbers()),
        report=context.report,
    )


def save_trained(
    context: Context,
    plan: Plan,
    trained: SequenceModel,
    state: RetrieverState,
    *,
    replace: bool,
    metrics: Mapping[str, Any] | None = None,
) -> Artefact:
    """Save a trained model and delete the state of its training.

    Args:
        context: Store and reporting callbacks.
        plan: What was trained.
        trained: The model.
        state: Final state of the training.
        replace: Whether an existing checkpoint may be replaced.
        metrics: Further metrics for the manifest.
    """
    artefact = save_retriever(
        context,
        plan.name,
        trained,
        plan.data,
        config={
            "training": asdict(plan.training),
            "dataset": plan.dataset,
            "set_by": context.set_by(plan.row.name, "training"),
            **({} if plan.base is None else {"base": plan.base.name, "base_digest": plan.base.digest}),
        },
        parents={plan.dataset: plan.parent.manifest.digest},
        metrics={
            "steps": state.validations[-1].step,
            "finished": state.finished,
            "minutes": round(state.seconds / 60, 1),
            **(metrics or {}),
        },
        replace=replace,
    )
    plan.states(context).clear()
    return artefact


def _fit(context: Context, plan: Plan, request: RetrieverRequest) -> Artefact:
    """Make and save a retriever that is not trained by gradient descent."""
    parents = {plan.dataset: plan.parent.manifest.digest}

    def trained(member: str) -> Retriever:
        found = _member(context, plan, request, member)
        parents[found.artefact.manifest.name] = found.artefact.manifest.digest
        return found.model

    if plan.row.blends:
        announce_members(context, request, plan.data, plan.model_config.retrievers)
    fitting = Fitting(
        training_sequences(plan.data),
        held_out(plan.data, Split.VALIDATION),
        plan.data.item_count,
        trained,
        best_device(),
        context.report,
    )
    began = time.monotonic()
    fitted: FittedRetriever = plan.row.model.fit(plan.model_config, fitting).cpu().eval()
    return save_retriever(
        context,
        plan.name,
        fitted,
        plan.data,
        config={"dataset": plan.dataset, "set_by": context.set_by(plan.row.name)},
        parents=parents,
        metrics={"minutes": round((time.monotonic() - began) / 60, 1), **fitted.fit_metrics()},
        replace=request.replace,
    )


def _member(context: Context, plan: Plan, request: RetrieverRequest, member: str) -> TrainedRetriever:
    """Return a member of a blend: a checkpoint of the data set, or the retriever of that name, trained if missing."""
    name = retriever_name(plan.dataset, member)
    if member in RETRIEVERS:
        row = RETRIEVERS[member]
    else:
        row = described_row(context.store.open(name, Kind.RETRIEVER).manifest.config)
    if not row.is_neural:
        raise UsageError(
            f"{plan.row.name} cannot blend {name}: it is not trained by gradient descent.",
            f"List other retrievers under retrievers in the table [{plan.row.name}] of a `config` file.",
        )
    if member not in RETRIEVERS:
        return load_retriever(context, name, plan.data)
    minutes = row.member_minutes if request.max_minutes is None else request.max_minutes
    wanted = dataclasses.replace(request, model=member, name=None, max_minutes=minutes)
    return need_retriever(context, plan.data, wanted)


def need_retriever(context: Context, data: PreparedData, request: RetrieverRequest) -> TrainedRetriever:
    """Load the checkpoint of a request, training it first if it is missing.

    Args:
        context: Store and reporting callbacks.
        data: The data set.
        request: What to train if the checkpoint is missing. With `replace`, a checkpoint that was trained on an earlier
            version of the data set is trained again; one that is up to date is kept.

    Raises:
        LlamaRecError: It is missing and must not be trained, or is damaged, or belongs to another vocabulary.
    """
    name = request.checkpoint
    if name not in context.store:
        model = None if request.model == DEFAULT_RETRIEVER else request.model
        with context.store.making(name, context.say):
            if name not in context.store:
                context.take_step(name, command("train retriever", dataset=request.dataset, model=model), "training")
                _train(context, make_plan(context, request), request)
    elif request.replace and context.is_stale(name):
        context.say(f"{name} was trained on an earlier version of {request.dataset}; training it again.")
        with context.store.making(name, context.say):
            _train(context, make_plan(context, request), request)
    return load_retriever(context, name, data)
