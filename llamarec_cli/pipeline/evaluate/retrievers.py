"""The retrievers of a data set and their test ranks, which were computed when each of them was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import SplitResult, check_dataset, load_results
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split
from llamarec_cli.errors import LlamaRecError, command
from llamarec_cli.evaluation.metrics import Ranks
from llamarec_cli.evaluation.paper import TWO_STAGES
from llamarec_cli.pipeline.starter import install_starter, is_starter
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.registry import fusable_strategies


@dataclass(frozen=True)
class EvaluatedRetrievers:
    """Retrievers of one data set, grouped into the columns of a table.

    Attributes:
        results: Test results by name of the checkpoint.
        columns: Column of each checkpoint.
    """

    results: Mapping[str, SplitResult]
    columns: Mapping[str, str]

    def runs(self) -> dict[str, list[Ranks]]:
        """Return the test ranks of each column's checkpoints."""
        runs: dict[str, list[Ranks]] = {}
        for name, column in self.columns.items():
            runs.setdefault(column, []).append(self.results[name].ranks_S)
        return runs

    def checkpoints(self) -> dict[str, list[str]]:
        """Return the names of each column's checkpoints."""
        names: dict[str, list[str]] = {}
        for name, column in self.columns.items():
            names.setdefault(column, []).append(name)
        return names


def load_retrievers(context: Context, dataset: str, data: PreparedData, ranker: str) -> EvaluatedRetrievers:
    """Load the test results of a data set's retrievers, installing the starter if there is none and it is meant.

    Args:
        context: Store and reporting callbacks.
        dataset: Name of the data set.
        data: The data set.
        ranker: Name of the ranker that is evaluated with them.

    Raises:
        LlamaRecError: There is no retriever of that data set.
    """
    retrievers = _retrievers_of(context, dataset)
    if not retrievers and is_starter(ranker):
        install_starter(context, data)
        retrievers = _retrievers_of(context, dataset)
    if not retrievers:
        raise LlamaRecError(f"Nothing has been trained on {dataset}.", command("train retriever", dataset=dataset))
    results = {artefact.manifest.name: load_results(artefact)[Split.TEST] for artefact in retrievers}
    return EvaluatedRetrievers(results, columns_of(retrievers, dataset))


def columns_of(retrievers: Sequence[Artefact], dataset: str) -> dict[str, str]:
    """Return the column of each checkpoint. Checkpoints that differ only in their seed share one.

    A column has the shortest name of its checkpoints, without the prefix `DATASET/` where that stays unambiguous.
    """
    by_config: dict[str, dict[int | str, str]] = {}
    for artefact in retrievers:
        manifest = artefact.manifest
        config = json.loads(json.dumps(manifest.config))
        config.pop("set_by", None)
        # A checkpoint without a seed, or with a seed that is taken, is not another run: it has a column of its own.
        seed = config.get("training", {}).pop("seed", manifest.name)
        key = json.dumps([config, manifest.metrics.get("finished", True)], sort_keys=True)
        if isinstance(seed, str) or seed in by_config.get(key, {}):
            key += manifest.name
        by_config.setdefault(key, {})[seed] = manifest.name
    columns: dict[str, str] = {}
    for by_seed in by_config.values():
        whole = min(by_seed.values(), key=lambda name: (len(name), name))
        short = whole.removeprefix(f"{dataset}/")
        reserved = short in (TWO_STAGES, *fusable_strategies()) or short in columns.values()
        columns |= dict.fromkeys(by_seed.values(), whole if reserved else short)
    return columns


def _retrievers_of(context: Context, dataset: str) -> list[Artefact]:
    """Return the retrievers of the stored version of a data set; warn of those of another version."""
    found: list[Artefact] = []
    for artefact in context.store.artefacts():
        manifest = artefact.manifest
        if manifest.kind is not Kind.RETRIEVER or manifest.config["dataset"] != dataset:
            continue
        try:
            check_dataset(context, artefact)
        except LlamaRecError as error:
            context.warn(f"{error.sentence} It is left out.")
            continue
        found.append(context.store.open(manifest.name, Kind.RETRIEVER))
    return found
