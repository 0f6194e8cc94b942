"""`train retriever`: train a sequential recommender on a prepared data set, and keep the candidates it retrieves."""

from __future__ import annotations

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
from llamarec_cli.retrieval.models import RETRIEVERS, SequenceModel, retriever_row
from llamarec_cli.retrieval.presets import architecture_preset, training_preset
from llamarec_cli.retrieval.training import Validation, train_retriever
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

    model: SequenceModel
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
    """Train a retriever and save it with its ranks and candidates.

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
    overrides = overrides or {}
    context.store.refuse_taken(name, Kind.RETRIEVER, replace=replace)
    model_config = resolve_config(architecture_preset(dataset, row), overrides.get(row.name, {}))
    config = resolve_config(training_preset(dataset), overrides.get("training", {}))
    data, parent = need_dataset(context, dataset)
    warn_of_difference(context, dataset, data)
    validation, test = held_out(data, Split.VALIDATION), held_out(data, Split.TEST)
    if not len(validation):
        raise LlamaRecError(
            f"No user of {dataset} has three interactions, so nothing can be held out.",
            "Use a data set with longer sequences.",
        )
    states = TrainingStates(
        context, name, {row.name: asdict(model_config), "training": asdict(config), "parent": parent.manifest.digest}
    )
    saved = states.load()
    trained, state = train_retriever(
        training_sequences(data),
        validation,
        data.item_count,
        row,
        model_config,
        config,
        device=best_device(),
        max_minutes=max_minutes,
        resume=TrainingState.restore(Validation, *saved) if saved else None,
        save_state=lambda state: states.save(state.tensors, state.numbers()),
        report=context.report,
    )
    results = {
        split: SplitResult(rank_targets(trained, cases), retrieve(trained, cases.histories, report=context.report))
        for split, cases in ((Split.VALIDATION, validation), (Split.TEST, test))
    }
    manifest = Manifest(
        name=name,
        kind=Kind.RETRIEVER,
        config={
            row.name: asdict(model_config),
            "training": asdict(config),
            "dataset": dataset,
            "vocabulary": data.vocabulary_digest(),
        },
        parents={dataset: parent.manifest.digest},
        metrics={
            **{str(split): all_metrics(result.ranks_S) for split, result in results.items()},
            "recall@20": {split: float(np.mean(result.ranks_S <= DEFAULT_K)) for split, result in results.items()},
            "steps": state.validations[-1].step,
            "minutes": round(state.seconds / 60, 1),
            "device": str(best_device()),
        },
        command=context.command,
    )
    with context.store.stage(manifest, replace=replace) as folder:
        save_file(trained.state_dict(), folder / _WEIGHTS_FILE)
        save_arrays(_as_arrays(results), folder / _CANDIDATES_FILE)
    states.clear()
    return context.store.open(name, Kind.RETRIEVER)


def need_retriever(
    context: Context, dataset: str, data: PreparedData, overrides: Mapping[str, Mapping[str, Any]]
) -> TrainedRetriever:
    """Load the default retriever of a data set, training it first where it is missing.

    Args:
        context: Surroundings.
        dataset: Name of the data set.
        data: The data set.
        overrides: As for `train`, should it come to that.

    Raises:
        LlamaRecError: It is missing and must not be trained, or is damaged, or belongs to another vocabulary.
    """
    name = retriever_name(dataset)
    if name not in context.store:
        context.take_step(name, f"llamarec train retriever --dataset {dataset}")
        train(context, dataset, overrides=overrides)
    return load_retriever(context, name, data)


def load_retriever(context: Context, name: str, data: PreparedData) -> TrainedRetriever:
    """Load a retriever from the store.

    Raises:
        LlamaRecError: It is missing or damaged, or was trained on another vocabulary than `data` has.
    """
    artefact = context.store.open(name, Kind.RETRIEVER)
    check_vocabulary(artefact, data)
    row = next(row for row in RETRIEVERS.values() if row.name in artefact.manifest.config)
    model = row.model(data.item_count, row.config(**artefact.manifest.config[row.name]))
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
