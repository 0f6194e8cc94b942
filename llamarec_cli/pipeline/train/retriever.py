"""`train retriever`: make a sequential recommender for a prepared data set."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import (
    DEFAULT_RETRIEVER,
    TrainedRetriever,
    keep_retriever,
    load_retriever,
    retriever_name,
)
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out, training_sequences
from llamarec_cli.devices import best_device
from llamarec_cli.errors import UsageError
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.pipeline.train.forecast import announce_members
from llamarec_cli.pipeline.train.retriever_plan import Overrides, Plan, default_name, features_told, make_plan
from llamarec_cli.pipeline.train.title_vectors import raw_vectors
from llamarec_cli.retrieval.item_texts import Source
from llamarec_cli.retrieval.models import RETRIEVERS, retriever_row
from llamarec_cli.retrieval.presets import MEMBER_MINUTES, Preset
from llamarec_cli.retrieval.scoring import FittedRetriever, Fitting, Retriever, SequenceModel
from llamarec_cli.retrieval.training import RetrieverState, Validation, train_retriever
from llamarec_cli.snapshots import TrainingState
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact


def train(
    context: Context,
    dataset: str,
    *,
    model: str = DEFAULT_RETRIEVER,
    name: str | None = None,
    preset: Preset = Preset.TUNED,
    base: str = DEFAULT_BASE,
    overrides: Overrides | None = None,
    max_minutes: float | None = None,
    replace: bool = False,
) -> Artefact:
    """Make a retriever and save it with its ranks and candidates.

    Args:
        context: Surroundings.
        dataset: Name of a prepared data set, or of one in the catalogue.
        model: A name of `RETRIEVERS`.
        name: Name of the checkpoint; by default `DATASET/MODEL`, of a control `DATASET/MODEL-FEATURES`.
        preset: The recipe that `overrides` are laid over.
        base: The language model that reads titles, for a retriever that does: a known name, a folder, or a repository
            on the Hugging Face Hub.
        overrides: Values over the preset's: the model's table for the architecture, `training` for the rest.
        max_minutes: Stop after so long.
        replace: Whether a checkpoint of that name may be replaced.

    Returns:
        The checkpoint.

    Raises:
        LlamaRecError: The name is taken, the data set cannot be had or is too small, or training diverged.
        UsageError: The configuration is wrong.
    """
    name = name or default_name(dataset, retriever_row(model), overrides or {})
    with context.store.making(name, context.say):
        plan = make_plan(
            context,
            dataset,
            model=model,
            name=name,
            preset=preset,
            base=base,
            overrides=overrides or {},
            replace=replace,
        )
        if not plan.row.is_neural:
            return _fit(context, plan, preset, base, overrides or {}, max_minutes, replace)
        trained, state = run_training(context, plan, max_minutes=max_minutes)
        return keep_trained(context, plan, trained, state, replace=replace)


def run_training(
    context: Context, plan: Plan, *, max_minutes: float | None = None, max_steps: int | None = None
) -> tuple[SequenceModel, RetrieverState]:
    """Train from where the saved state stands, and save the state at each validation."""
    states = plan.states(context)
    saved = states.load()
    raw: dict[Source, Any] | None = None
    model_config = plan.model_config
    if plan.row.reads_titles:
        raw = raw_vectors(context, plan.parent, plan.data, model_config, plan.base)
        model_config = replace(model_config, raw_widths=tuple(vectors.shape[1] for vectors in raw.values()))
    return train_retriever(
        training_sequences(plan.data),
        held_out(plan.data, Split.VALIDATION),
        plan.data.item_count,
        plan.row,
        model_config,
        plan.training,
        device=best_device(),
        raw=raw,
        max_minutes=max_minutes,
        max_steps=max_steps,
        resume=TrainingState.restore(Validation, *saved) if saved else None,
        save_state=lambda state: states.save(state.tensors, state.numbers()),
        report=context.report,
    )


def keep_trained(
    context: Context,
    plan: Plan,
    trained: SequenceModel,
    state: RetrieverState,
    *,
    replace: bool,
    metrics: Mapping[str, Any] | None = None,
) -> Artefact:
    """Save a trained model, with further metrics if there are any, and forget the state of its training."""
    artefact = keep_retriever(
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


def _fit(
    context: Context,
    plan: Plan,
    preset: Preset,
    base: str,
    overrides: Overrides,
    max_minutes: float | None,
    replace: bool,
) -> Artefact:
    """Make and save a retriever that is not trained by gradient."""
    parents = {plan.dataset: plan.parent.manifest.digest}

    def trained(member: str) -> Retriever:
        found = _member(context, plan, member, preset, base, overrides, max_minutes)
        parents[found.artefact.manifest.name] = found.artefact.manifest.digest
        return found.model

    if plan.row.blends:
        reader = base if Source.LANGUAGE_MODEL in features_told(overrides).sources else None
        announce_members(context, plan.dataset, plan.data, plan.model_config.retrievers, reader, max_minutes)
    fitting = Fitting(
        training_sequences(plan.data),
        held_out(plan.data, Split.VALIDATION),
        plan.data.item_count,
        trained,
        best_device(),
        context.report,
    )
    began = time.monotonic()
    made: Any = plan.row.model
    fitted: FittedRetriever = made.fit(plan.model_config, fitting).cpu().eval()
    return keep_retriever(
        context,
        plan.name,
        fitted,
        plan.data,
        config={"dataset": plan.dataset, "set_by": context.set_by(plan.row.name)},
        parents=parents,
        metrics={"minutes": round((time.monotonic() - began) / 60, 1), **fitted.figures()},
        replace=replace,
    )


def _member(
    context: Context,
    plan: Plan,
    member: str,
    preset: Preset,
    base: str,
    overrides: Overrides,
    max_minutes: float | None,
) -> TrainedRetriever:
    """Return a retriever that is blended: a checkpoint of the data set, or the row of that name, trained if missing."""
    name = retriever_name(plan.dataset, member)
    if member not in RETRIEVERS:
        context.store.open(name, Kind.RETRIEVER)  # raises, naming the nearest
        found = load_retriever(context, name, plan.data)
    else:
        found = need_retriever(
            context,
            plan.dataset,
            plan.data,
            overrides,
            model=member,
            preset=preset,
            base=base,
            max_minutes=MEMBER_MINUTES.get(member) if max_minutes is None else max_minutes,
        )
    if not isinstance(found.model, SequenceModel):
        raise UsageError(
            f"{plan.row.name} cannot blend {name}: it is not trained by gradient.",
            f"Name others under retrievers in the table [{plan.row.name}] of a --config file.",
        )
    return found


def need_retriever(
    context: Context,
    dataset: str,
    data: PreparedData,
    overrides: Overrides,
    *,
    model: str = DEFAULT_RETRIEVER,
    preset: Preset = Preset.TUNED,
    base: str = DEFAULT_BASE,
    max_minutes: float | None = None,
) -> TrainedRetriever:
    """Load a retriever of a data set by the name of its row, training it first where it is missing.

    Args:
        context: Surroundings.
        dataset: Name of the data set.
        data: The data set.
        overrides: As for `train`, should it come to that.
        model: A name of `RETRIEVERS`.
        preset: As for `train`.
        base: As for `train`.
        max_minutes: As for `train`.

    Raises:
        LlamaRecError: It is missing and must not be trained, or is damaged, or belongs to another vocabulary.
    """
    name = default_name(dataset, retriever_row(model), overrides)
    if name not in context.store:
        choice = "" if model == DEFAULT_RETRIEVER else f" --model {model}"
        with context.store.making(name, context.say):
            if name not in context.store:
                context.take_step(name, f"llamarec train retriever --dataset {dataset}{choice}")
                train(
                    context,
                    dataset,
                    model=model,
                    preset=preset,
                    base=base,
                    overrides=overrides,
                    max_minutes=max_minutes,
                )
    return load_retriever(context, name, data)
