"""`evaluate`: the paper's Tables 1 and 3 from the ranks that are kept with each checkpoint.

A retriever's ranks are computed when it is trained, a ranker's the first time it is evaluated (`ablation`). Retrievers
that differ in nothing but the seed are runs of one model and share a column.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import open_ranker, ranker_name
from llamarec_cli.artefacts.retrievers import check_dataset, load_results, retriever_name
from llamarec_cli.data.splits import Split
from llamarec_cli.errors import LlamaRecError, UnknownNameError, UsageError
from llamarec_cli.evaluation.metrics import all_metrics, gains_per_user
from llamarec_cli.evaluation.paper import TABLE_1, TABLE_3, TABLE_4, TWO_STAGES
from llamarec_cli.evaluation.significance import Difference, paired_bootstrap
from llamarec_cli.evaluation.tables import MetricTable, metric_table
from llamarec_cli.pipeline.evaluate.ablation import Ablation, Ranks, ablate, ranks_by_group
from llamarec_cli.pipeline.prepare import need_dataset, warn_of_difference
from llamarec_cli.pipeline.starter import install_starter, is_starter
from llamarec_cli.ranking.fusion import FusionGroups
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.registry import fusable_strategies


@dataclass(frozen=True)
class Comparison:
    """Two models over the same users.

    Attributes:
        one: Name of the first.
        other: Name of the second.
        differences: For each metric, the first less the second, with its interval.
    """

    one: str
    other: str
    differences: dict[str, Difference]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` shows.

    Attributes:
        dataset: Name of the data set.
        users: Number of users.
        valid_users: Users whose item the ranker's retriever found; without a ranker, the default retriever.
        runs: 1-based rank of each user's true item, by model and run; one run a seed.
        checkpoints: Names of each model's runs.
        valid_runs: The same for the valid users; of the ranker's retriever, the one checkpoint that it stands on.
        valid: Indices of the valid users.
        all_table: The paper's Table 1.
        valid_table: The paper's Table 3.
        comparison: Two models compared, where there are two.
        ablation: What each signal adds, where there is a ranker.
        reported: The paper's Table 4: what others report of recommenders with a language model, by name and metric.
    """

    dataset: str
    users: int
    valid_users: int
    runs: dict[str, list[Ranks]]
    checkpoints: dict[str, list[str]]
    valid_runs: dict[str, list[Ranks]]
    valid: npt.NDArray[np.int64]
    all_table: MetricTable
    valid_table: MetricTable
    comparison: Comparison | None
    ablation: Ablation | None
    reported: Mapping[str, Mapping[str, float]]

    def merged(self) -> dict[str, list[str]]:
        """Return the checkpoints of each model that has several runs."""
        return {model: names for model, names in self.checkpoints.items() if len(names) > 1}

    def metrics(self, model: str) -> dict[str, Any]:
        """Return the mean metrics of a model over all users and over the valid ones, and those of each run."""
        runs = {
            "all": [all_metrics(ranks) for ranks in self.runs[model]],
            "valid": [all_metrics(ranks[self.valid]) for ranks in self.valid_runs[model]],
        }
        means = {
            subset: {metric: fmean(run[metric] for run in of_subset) for metric in of_subset[0]}
            for subset, of_subset in runs.items()
        }
        return {**means, "runs": runs["all"]}


def evaluate(
    context: Context, dataset: str, *, ranker: str | None = None, compare: tuple[str, str] | None = None
) -> Evaluation:
    """Measure every retriever of a data set that the store holds, and one ranker, on the test split.

    Args:
        context: Surroundings.
        dataset: Name of the data set.
        ranker: Name of the ranker; by default `DATASET/smollm2-135m` where there is one.
        compare: Two models to compare; by default both stages against their retriever, else the two best retrievers.

    Raises:
        LlamaRecError: Nothing of that data set has been trained.
        UsageError: A model to compare is not among those evaluated.
    """
    data, _ = need_dataset(context, dataset)
    warn_of_difference(context, dataset, data)
    wanted = ranker or ranker_name(dataset)
    retrievers = _retrievers_of(context, dataset)
    if not retrievers and is_starter(wanted):
        install_starter(context, data)
        retrievers = _retrievers_of(context, dataset)
    if not retrievers:
        raise LlamaRecError(f"Nothing has been trained on {dataset}.", f"llamarec train retriever --dataset {dataset}")
    found = {artefact.manifest.name: load_results(artefact)[Split.TEST] for artefact in retrievers}
    columns = _columns(retrievers, dataset)
    runs: dict[str, list[Ranks]] = {}
    checkpoints: dict[str, list[str]] = {}
    for name, column in columns.items():
        runs.setdefault(column, []).append(found[name].ranks_S)
        checkpoints.setdefault(column, []).append(name)
    ablation: Ablation | None = None
    if ranker is not None or wanted in context.store:
        artefact = open_ranker(context, wanted, data)
        if artefact.manifest.config["dataset"] != dataset:
            raise UsageError(
                f"{wanted} is a ranker of {artefact.manifest.config['dataset']}, not of {dataset}.",
                f"llamarec evaluate --dataset {artefact.manifest.config['dataset']} --ranker {wanted}",
            )
        groups = FusionGroups.from_json(artefact.manifest.metrics["fusion"])
        own = [] if groups.model is None else [groups.model]
        retriever = artefact.manifest.config["retriever"]
        _check_compared(compare, [*runs, *own, TWO_STAGES])
        retrieved = found[retriever].ranks_S
        valid = np.flatnonzero(retrieved <= artefact.manifest.config["k"])
        of_groups = ranks_by_group(context, artefact, data)
        runs |= {name: [of_groups[name]] for name in own} | {TWO_STAGES: [of_groups[groups.chosen]]}
        # Users whose item this very checkpoint retrieved: its other seeds are not measured on them.
        valid_runs = {**runs, columns[retriever]: [retrieved]}
        in_pool = np.flatnonzero(retrieved <= artefact.manifest.config["pool"])
        ablation = ablate(groups, {name: ranks[in_pool] for name, ranks in of_groups.items()})
        pair = compare or (TWO_STAGES, columns[retriever])
        compared = runs if compare else valid_runs
    else:
        _check_compared(compare, runs)
        first_stage = retriever_name(dataset)
        valid = found[first_stage if first_stage in found else next(iter(found))].retrieved
        valid_runs = compared = runs
        best = sorted(runs, key=lambda model: -fmean(all_metrics(ranks)["ndcg@10"] for ranks in runs[model]))
        pair = compare or (best[0], best[1 % len(best)])
    title = f"{dataset}, test"
    return Evaluation(
        dataset=dataset,
        users=data.user_count,
        valid_users=len(valid),
        runs=runs,
        checkpoints=checkpoints,
        valid_runs=valid_runs,
        valid=valid,
        all_table=metric_table(
            f"{title}, all {len(next(iter(found.values())).ranks_S):,} users",
            {model: [all_metrics(ranks) for ranks in of_model] for model, of_model in runs.items()},
            TABLE_1.get(dataset, {}),
        ),
        valid_table=metric_table(
            f"{title}, {len(valid):,} users whose item was retrieved",
            {model: [all_metrics(ranks[valid]) for ranks in of_model] for model, of_model in valid_runs.items()},
            TABLE_3.get(dataset, {}),
        ),
        comparison=_compare(compared, *pair),
        ablation=ablation,
        reported=TABLE_4.get(dataset, {}),
    )


def _check_compared(compare: tuple[str, str] | None, known: Collection[str]) -> None:
    for model in compare or ():
        if model not in known:
            raise UnknownNameError(model, "model among those evaluated", known)


def _retrievers_of(context: Context, dataset: str) -> list[Artefact]:
    """Return the retrievers of a data set as the store holds it, warning of those of another version."""
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


def _columns(retrievers: Sequence[Artefact], dataset: str) -> dict[str, str]:
    """Return the column of each checkpoint: those that differ in their seed alone share one.

    A column is called after the shortest name in it, without the data set's where it begins with that.
    """
    alike: dict[str, dict[int | str, str]] = {}
    for artefact in retrievers:
        manifest = artefact.manifest
        config = json.loads(json.dumps(manifest.config))
        config.pop("set_by", None)
        # Without a seed of its own, or with one that is there already, it is no further run.
        seed = config.get("training", {}).pop("seed", manifest.name)
        key = json.dumps([config, manifest.metrics.get("finished", True)], sort_keys=True)
        if isinstance(seed, str) or seed in alike.get(key, {}):
            key += manifest.name
        alike.setdefault(key, {})[seed] = manifest.name
    columns: dict[str, str] = {}
    for by_seed in alike.values():
        whole = min(by_seed.values(), key=lambda name: (len(name), name))
        short = whole.removeprefix(f"{dataset}/")
        reserved = short in (TWO_STAGES, *fusable_strategies()) or short in columns.values()
        columns |= dict.fromkeys(by_seed.values(), whole if reserved else short)
    return columns


def _compare(runs: Mapping[str, list[Ranks]], one: str, other: str) -> Comparison | None:
    """Compare two models by each user's mean over the runs."""
    if one == other:
        return None
    gains, others = _mean_gains(runs[one]), _mean_gains(runs[other])
    return Comparison(one, other, {metric: paired_bootstrap(gains[metric], others[metric]) for metric in gains})


def _mean_gains(runs: list[Ranks]) -> dict[str, npt.NDArray[np.float64]]:
    of_each = [gains_per_user(ranks) for ranks in runs]
    return {metric: np.mean([gains[metric] for gains in of_each], axis=0) for metric in of_each[0]}
