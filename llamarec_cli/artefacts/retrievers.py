"""Saving retrievers in the store together with what they retrieved, and loading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from llamarec_cli.artefacts.contents import check_candidates, check_ranks, fill
from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.devices import best_device
from llamarec_cli.errors import LlamaRecError, command
from llamarec_cli.evaluation.metrics import all_metrics
from llamarec_cli.retrieval.candidates import DEFAULT_K, Candidates, rank_targets, retrieve
from llamarec_cli.retrieval.registry import build, describe
from llamarec_cli.retrieval.scoring import Retriever
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact

_WEIGHTS_FILE = "model.safetensors"
_CANDIDATES_FILE = "candidates.safetensors"

DEFAULT_RETRIEVER = "lrurec"
# The retriever that a ranker stands on unless another is given.
DEFAULT_FIRST_STAGE = "ensemble"


def retriever_name(dataset: str, model: str = DEFAULT_RETRIEVER) -> str:
    """Return the default name of a retriever's checkpoint."""
    return f"{dataset}/{model}"


@dataclass(frozen=True)
class SplitResult:
    """Ranks and candidates of one split.

    Attributes:
        ranks_S: 1-based rank of each user's true item; int32.
        candidates: Each user's top K.
    """

    ranks_S: npt.NDArray[np.int32]
    candidates: Candidates

    @property
    def retrieved(self) -> npt.NDArray[np.int64]:
        """Indices of the users whose true item is among their candidates (the paper's valid retrieval subset)."""
        return np.flatnonzero(self.ranks_S <= self.candidates.k)

    def of_users(self, users: npt.NDArray[np.int64]) -> SplitResult:
        """Return the result of some users alone."""
        return SplitResult(self.ranks_S[users], self.candidates.of_users(users))


@dataclass(frozen=True)
class TrainedRetriever:
    """A retriever loaded from the store.

    Attributes:
        model: The model, in evaluation mode.
        results: Ranks and candidates of both splits.
        artefact: Its checkpoint.
    """

    model: Retriever
    results: dict[Split, SplitResult]
    artefact: Artefact

    def retrieved(self, data: PreparedData, split: Split, k: int) -> SplitResult:
        """Return ranks and top `k` candidates of one split.

        The saved ones are used if they reach to `k`. A blend always retrieves again, since the scores of its parts are
        not saved.
        """
        saved = self.results[split]
        if k <= saved.candidates.k and not self.model.parts:
            items_SK, scores_SK = saved.candidates.items_SK[:, :k], saved.candidates.scores_SK[:, :k]
            return SplitResult(saved.ranks_S, Candidates(items_SK, scores_SK))
        # Ranks are computed again too: those of another machine may resolve near ties differently.
        cases = held_out(data, split)
        return SplitResult(rank_targets(self.model, cases), retrieve(self.model, cases.histories, k))


def save_retriever(
    context: Context,
    name: str,
    trained: Retriever,
    data: PreparedData,
    *,
    config: Mapping[str, Any],
    parents: Mapping[str, str],
    metrics: Mapping[str, Any],
    replace: bool,
) -> Artefact:
    """Save a retriever with its ranks and candidates on both splits.

    Args:
        context: Store and reporting callbacks.
        name: Name of the checkpoint.
        trained: The retriever, in evaluation mode.
        data: The data set it was trained on.
        config: Configuration of its training.
        parents: Digests of the artefacts it was made from, by name.
        metrics: Metrics of its training; ranking metrics are added here.
        replace: Whether an existing checkpoint of that name may be replaced.
    """
    results = {}
    for split in Split:
        cases = held_out(data, split)
        candidates = retrieve(trained, cases.histories, report=context.report)
        results[split] = SplitResult(rank_targets(trained, cases), candidates)
    manifest = Manifest(
        name=name,
        kind=Kind.RETRIEVER,
        config={**describe(trained), **config, "vocabulary": data.vocabulary_digest()},
        parents=dict(parents),
        metrics={
            **{str(split): all_metrics(result.ranks_S) for split, result in results.items()},
            "recall@20": {split: float(np.mean(result.ranks_S <= DEFAULT_K)) for split, result in results.items()},
            **metrics,
            "device": str(best_device()),
        },
        command=context.command,
    )
    with context.store.stage(manifest, replace=replace) as folder:
        save_file(trained.state_dict(), folder / _WEIGHTS_FILE)
        save_arrays(_as_arrays(results), folder / _CANDIDATES_FILE)
    context.warn_of_stale(name)
    return context.store.open(name, Kind.RETRIEVER)


def load_retriever(context: Context, name: str, data: PreparedData) -> TrainedRetriever:
    """Load a retriever from the store.

    Raises:
        LlamaRecError: It is missing or damaged, or was trained on another vocabulary than that of `data`.
    """
    artefact = context.store.open(name, Kind.RETRIEVER)
    check_vocabulary(artefact, data)
    check_dataset(context, artefact)
    model = build(artefact.manifest.config, data.item_count)
    fill(model, artefact, _WEIGHTS_FILE)
    results = load_results(artefact)
    for split, result in results.items():
        cases = held_out(data, split)
        check_candidates(artefact, cases, result.ranks_S, result.candidates.items_SK, data.item_count)
    return TrainedRetriever(model.eval(), results, artefact)


def load_results(artefact: Artefact) -> dict[Split, SplitResult]:
    """Load a retriever's ranks and candidates of both splits, without the model."""
    arrays = load_arrays(artefact.path / _CANDIDATES_FILE)
    check_ranks(artefact, {split: arrays[f"{split}.ranks"] for split in Split})
    return {
        split: SplitResult(arrays[f"{split}.ranks"], Candidates(arrays[f"{split}.items"], arrays[f"{split}.scores"]))
        for split in Split
    }


def check_vocabulary(artefact: Artefact, data: PreparedData) -> None:
    """Raise unless a checkpoint's item ids denote the same items as the data set's."""
    if artefact.manifest.config["vocabulary"] != data.vocabulary_digest():
        name, dataset = artefact.manifest.name, artefact.manifest.config["dataset"]
        raise LlamaRecError(
            f"{name} was trained on another version of {dataset}: their items differ.",
            command("train ranker", dataset=dataset, replace=True),
        )


def check_dataset(context: Context, artefact: Artefact) -> None:
    """Raise unless a checkpoint was trained on exactly the data set in the store, whose users its results refer to."""
    dataset = artefact.manifest.config["dataset"]
    if artefact.manifest.parents[dataset] != context.store.open(dataset, Kind.DATASET).manifest.digest:
        name = artefact.manifest.name
        raise LlamaRecError(
            f"{name} was trained on another version of {dataset}: their interactions differ.",
            command("train ranker", dataset=dataset, replace=True),
        )


def _as_arrays(results: Mapping[Split, SplitResult]) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for split, result in results.items():
        arrays[f"{split}.ranks"] = result.ranks_S
        arrays[f"{split}.items"] = result.candidates.items_SK
        arrays[f"{split}.scores"] = result.candidates.scores_SK
    return arrays
