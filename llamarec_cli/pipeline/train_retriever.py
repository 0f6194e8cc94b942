"""`train retriever`: make a sequential recommender for a prepared data set, and keep the candidates it retrieves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from llamarec_cli.config import resolve_config
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out, training_sequences
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.evaluation.metrics import all_metrics
from llamarec_cli.pipeline.context import Context, best_device
from llamarec_cli.pipeline.prepare import need_dataset, warn_of_difference
from llamarec_cli.pipeline.training_state import TrainingStates
from llamarec_cli.retrieval.candidates import DEFAULT_K, Candidates, rank_targets, retrieve
from llamarec_cli.retrieval.models import RetrieverRow, build, describe, retriever_row
from llamarec_cli.retrieval.presets import architecture_preset, training_preset
from llamarec_cli.retrieval.scoring import Fitting, Retriever, SequenceModel
from llamarec_cli.retrieval.training import RetrieverState, TrainingConfig, Validation, train_retriever
from llamarec_cli.snapshots import TrainingState
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact

_WEIGHTS_FILE = "model.safetensors"
_CANDIDATES_FILE = "candidates.safetensors"


DEFAULT_RETRIEVER = "lrurec"


def retriever_name(dataset: str, model: str = DEFAULT_RETRIEVER) -> str:
    """Return the name that a retriever of a data set has unless another is given."""
    return f"{dataset}/{model}"


@dataclass(frozen=True)
class SplitResult:
    """What the retriever did on one split.

    Attributes:
        ranks_S: 1-based rank of each user's true item; int32.
        candidates: Each user's top K.
    """

    ranks_S: npt.NDArray[np.int32]
    candidates: Candidates

    @property
    def retrieved(self) -> npt.NDArray[np.int64]:
        """Indices of the users whose true item is among their candidates: the paper's valid retrieval subset."""
        return np.flatnonzero(self.ranks_S <= self.candidates.k)


@dataclass(frozen=True)
class TrainedRetriever:
    """A retriever as loaded from the store.

    Attributes:
        model: In evaluation mode.
        results: Ranks and candidates of both splits.
        artefact: Where it came from.
    """

    model: Retriever
    results: dict[Split, SplitResult]
    artefact: Artefact


def train(
    context: Context,
    dataset: str,
    *,
    model: str = DEFAULT_RETRIEVER,
    name: str | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    max_minutes: float | None = None,
    replace: bool = False,
) -> Artefact:
    """Make a retriever and save it with its ranks and candidates.

    Args:
        context: Surroundings.
        dataset: Name of a prepared data set, or of one in the catalogue.
        model: A name of `RETRIEVERS`.
        name: Name of the checkpoint; `DATASET/MODEL` by default.
        overrides: Values over the data set's preset: the model's table for the architecture, `training` for the rest.
        max_minutes: Stop after so long.
        replace: Whether a checkpoint of that name may be replaced.

    Returns:
        The checkpoint.

    Raises:
        LlamaRecError: The name is taken, the data set cannot be had or is too small, or training diverged.
        UsageError: The configuration is wrong.
    """
    row = retriever_row(model)
    name = name or retriever_name(dataset, model)
    context.store.refuse_taken(name, Kind.RETRIEVER, replace=replace)
    model_config = resolve_config(architecture_preset(dataset, row), (overrides or {}).get(row.name, {}))
    config = resolve_config(training_preset(dataset, row), (overrides or {}).get("training", {}))
    data, parent = need_dataset(context, dataset)
    warn_of_difference(context, dataset, data)
    if not len(held_out(data, Split.VALIDATION)):
        raise LlamaRecError(
            f"No user of {dataset} has three interactions, so nothing can be held out.",
            "Use a data set with longer sequences.",
        )
    states: TrainingStates | None = None
    trained: Retriever
    parents: dict[str, str] = {}
    began = time.monotonic()
    if row.is_neural:
        recipe = {row.name: asdict(model_config), "training": asdict(config), "parent": parent.manifest.digest}
        states = TrainingStates(context, name, recipe)
        trained, state = run_training(context, data, row, model_config, config, states, max_minutes=max_minutes)
        made = {"steps": state.validations[-1].step, "minutes": round(state.seconds / 60, 1)}
    else:
        trained, parents = _fit(context, dataset, data, row, model_config, overrides or {})
        made = {"minutes": round((time.monotonic() - began) / 60, 1)}
    results = {
        split: SplitResult(rank_targets(trained, cases), retrieve(trained, cases.histories, report=context.report))
        for split in Split
        for cases in (held_out(data, split),)
    }
    manifest = Manifest(
        name=name,
        kind=Kind.RETRIEVER,
        config={
            **describe(trained),
            **({"training": asdict(config)} if row.is_neural else {}),
            "dataset": dataset,
            "vocabulary": data.vocabulary_digest(),
        },
        parents={dataset: parent.manifest.digest, **parents},
        metrics={
            **{str(split): all_metrics(result.ranks_S) for split, result in results.items()},
            "recall@20": {split: float(np.mean(result.ranks_S <= DEFAULT_K)) for split, result in results.items()},
            **made,
            "device": str(best_device()),
        },
        command=context.command,
    )
    with context.store.stage(manifest, replace=replace) as folder:
        save_file(trained.state_dict(), folder / _WEIGHTS_FILE)
        save_arrays(_as_arrays(results), folder / _CANDIDATES_FILE)
    if states:
        states.clear()
    return context.store.open(name, Kind.RETRIEVER)


def run_training(
    context: Context,
    data: PreparedData,
    row: RetrieverRow,
    model_config: Any,
    config: TrainingConfig,
    states: TrainingStates,
    *,
    max_minutes: float | None = None,
    max_steps: int | None = None,
) -> tuple[SequenceModel, RetrieverState]:
    """Train a neural retriever from where its saved state stands, and save the state at each validation."""
    saved = states.load()
    return train_retriever(
        training_sequences(data),
        held_out(data, Split.VALIDATION),
        data.item_count,
        row,
        model_config,
        config,
        device=best_device(),
        max_minutes=max_minutes,
        max_steps=max_steps,
        resume=TrainingState.restore(Validation, *saved) if saved else None,
        save_state=lambda state: states.save(state.tensors, state.numbers()),
        report=context.report,
    )


def _fit(
    context: Context,
    dataset: str,
    data: PreparedData,
    row: RetrieverRow,
    model_config: Any,
    overrides: Mapping[str, Mapping[str, Any]],
) -> tuple[Retriever, dict[str, str]]:
    """Make a retriever that is not trained by gradient; return it with the checkpoints it was made over."""
    parents: dict[str, str] = {}

    def trained(model: str) -> Retriever:
        found = need_retriever(context, dataset, data, overrides, model=model)
        parents[found.artefact.manifest.name] = found.artefact.manifest.digest
        return found.model

    fitting = Fitting(
        training_sequences(data),
        held_out(data, Split.VALIDATION),
        data.item_count,
        trained,
        best_device(),
        context.report,
    )
    made: Any = row.model
    return made.fit(model_config, fitting).cpu().eval(), parents


def need_retriever(
    context: Context,
    dataset: str,
    data: PreparedData,
    overrides: Mapping[str, Mapping[str, Any]],
    *,
    model: str = DEFAULT_RETRIEVER,
) -> TrainedRetriever:
    """Load a retriever of a data set by the name of its row, training it first where it is missing.

    Args:
        context: Surroundings.
        dataset: Name of the data set.
        data: The data set.
        overrides: As for `train`, should it come to that.
        model: A name of `RETRIEVERS`.

    Raises:
        LlamaRecError: It is missing and must not be trained, or is damaged, or belongs to another vocabulary.
    """
    name = retriever_name(dataset, retriever_row(model).name)
    if name not in context.store:
        choice = "" if model == DEFAULT_RETRIEVER else f" --model {model}"
        context.take_step(name, f"llamarec train retriever --dataset {dataset}{choice}")
        train(context, dataset, model=model, overrides=overrides)
    return load_retriever(context, name, data)


def load_retriever(context: Context, name: str, data: PreparedData) -> TrainedRetriever:
    """Load a retriever from the store.

    Raises:
        LlamaRecError: It is missing or damaged, or was trained on another vocabulary than `data` has.
    """
    artefact = context.store.open(name, Kind.RETRIEVER)
    check_vocabulary(artefact, data)
    model = build(artefact.manifest.config, data.item_count)
    model.load_state_dict(load_file(artefact.path / _WEIGHTS_FILE))
    return TrainedRetriever(model.eval(), load_results(artefact), artefact)


def load_results(artefact: Artefact) -> dict[Split, SplitResult]:
    """Load what a retriever did on both splits, without the model."""
    arrays = load_arrays(artefact.path / _CANDIDATES_FILE)
    return {
        split: SplitResult(arrays[f"{split}.ranks"], Candidates(arrays[f"{split}.items"], arrays[f"{split}.scores"]))
        for split in Split
    }


def check_vocabulary(artefact: Artefact, data: PreparedData) -> None:
    """Raise unless a checkpoint's item ids mean the same items as the data set's."""
    if artefact.manifest.config["vocabulary"] != data.vocabulary_digest():
        name, dataset = artefact.manifest.name, artefact.manifest.config["dataset"]
        raise LlamaRecError(
            f"{name} was trained on another version of {dataset}: their items differ.",
            f"Prepare {dataset} from the same source as then, or train {name} again with --replace.",
        )


def _as_arrays(results: Mapping[Split, SplitResult]) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for split, result in results.items():
        arrays[f"{split}.ranks"] = result.ranks_S
        arrays[f"{split}.items"] = result.candidates.items_SK
        arrays[f"{split}.scores"] = result.candidates.scores_SK
    return arrays
