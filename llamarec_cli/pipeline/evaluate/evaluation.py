"""Evaluation of all models of a data set on the test split, in the layout of the paper's Tables 1 and 3.

Test ranks of a retriever are computed when it is trained, those of a ranker the first time it is evaluated (see
`ablation`). Retrievers that differ only in their seed are runs of one model and share a column.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import open_ranker, ranker_name
from llamarec_cli.artefacts.retrievers import retriever_name
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.engines.registry import DEFAULT_ENGINE
from llamarec_cli.errors import UnknownNameError, UsageError, command
from llamarec_cli.evaluation.metrics import Ranks, all_metrics, gains_per_user
from llamarec_cli.evaluation.paper import TABLE_1, TABLE_3, TABLE_4, TWO_STAGES
from llamarec_cli.evaluation.significance import Difference, paired_bootstrap
from llamarec_cli.evaluation.tables import MetricTable, metric_table
from llamarec_cli.pipeline.evaluate.ablation import Ablation, ablate, ranks_by_group
from llamarec_cli.pipeline.evaluate.retrievers import EvaluatedRetrievers, load_retrievers
from llamarec_cli.pipeline.prepare import need_dataset, warn_of_difference, warn_of_masked_items
from llamarec_cli.ranking.fusion import RETRIEVER, FusionGroups
from llamarec_cli.store.registry import Artefact

Runs = Mapping[str, list[Ranks]]


@dataclass(frozen=True)
class Comparison:
    """Two models compared over the same users.

    Attributes:
        one: Name of the first model.
        other: Name of the second model.
        differences: For each metric, the first model minus the second, with its interval.
    """

    one: str
    other: str
    differences: dict[str, Difference]

    @property
    def identical(self) -> bool:
        """Whether both models have the same value of every metric for every user."""
        return all(found.low == found.high == 0 for found in self.differences.values())


@dataclass(frozen=True)
class Evaluation:
    """Test results of all models of a data set.

    Attributes:
        dataset: Name of the data set.
        users: Number of users.
        valid_users: Users whose item the ranker's retriever retrieved; without a ranker, the default retriever.
        runs: 1-based rank of each user's true item, by model and run; one run for each seed.
        checkpoints: Names of each retriever's runs.
        valid_runs: As `runs`, for metrics over the valid users; of the ranker's retriever, only the checkpoint that the
            ranker was fitted with.
        valid: Indices of the valid users.
        all_table: As the paper's Table 1.
        valid_table: As the paper's Table 3.
        comparison: Comparison of two models; None if there is only one.
        ablation: Contribution of each group of signals; None without a ranker.
        reported: The paper's Table 4: recommenders with a language model, by name and metric.
        unchanged: Model whose order the ranker keeps, since no group of its signals beats it; None if the ranker has an
            order of its own, or without a ranker.
    """

    dataset: str
    users: int
    valid_users: int
    runs: Runs
    checkpoints: dict[str, list[str]]
    valid_runs: Runs
    valid: npt.NDArray[np.int64]
    all_table: MetricTable
    valid_table: MetricTable
    comparison: Comparison | None
    ablation: Ablation | None
    reported: Mapping[str, Mapping[str, float]]
    unchanged: str | None

    def merged(self) -> dict[str, list[str]]:
        """Return the checkpoints of each model that has several runs."""
        return {model: names for model, names in self.checkpoints.items() if len(names) > 1}

    def metrics(self, model: str) -> dict[str, Any]:
        """Return a model's mean metrics over all users and over the valid ones, and the metrics of each run."""
        runs = {
            "all": [all_metrics(ranks) for ranks in self.runs[model]],
            "valid": [all_metrics(ranks[self.valid]) for ranks in self.valid_runs[model]],
        }
        means = {
            subset: {metric: fmean(run[metric] for run in of_subset) for metric in of_subset[0]}
            for subset, of_subset in runs.items()
        }
        return {**means, "runs": runs["all"]}


@dataclass(frozen=True)
class _Models:
    """Ranks of all models, as in `Evaluation`, and the comparison to make.

    Attributes:
        runs: As in `Evaluation`.
        valid_runs: As in `Evaluation`.
        valid: As in `Evaluation`.
        pair: The two models to compare.
        compared: Runs over which they are compared.
        ablation: As in `Evaluation`.
        unchanged: As in `Evaluation`.
    """

    runs: Runs
    valid_runs: Runs
    valid: npt.NDArray[np.int64]
    pair: tuple[str, str]
    compared: Runs
    ablation: Ablation | None = None
    unchanged: str | None = None


def evaluate(
    context: Context,
    dataset: str,
    *,
    ranker: str | None = None,
    compare: tuple[str, str] | None = None,
    engine: str = DEFAULT_ENGINE,
) -> Evaluation:
    """Measure every stored retriever of a data set, and one ranker, on the test split.

    Args:
        context: Store and reporting callbacks.
        dataset: Name of the data set.
        ranker: Name of the ranker; by default `DATASET/smollm2-135m` if the store holds it.
        compare: Two models to compare; by default the ranker and its retriever, without a ranker the two best
            retrievers by NDCG@10.
        engine: Where a language model ranks the test users.

    Raises:
        LlamaRecError: Nothing has been trained on that data set.
        UsageError: The ranker is of another data set, or a model to compare is not among those evaluated.
    """
    data, _ = need_dataset(context, dataset)
    warn_of_difference(context, dataset, data)
    warn_of_masked_items(context, dataset, data)
    wanted = ranker or ranker_name(dataset)
    retrievers = load_retrievers(context, dataset, data, wanted)
    if ranker is not None or wanted in context.store:
        artefact = _open_ranker_of(context, dataset, wanted, data)
        models = _with_ranker(context, data, artefact, retrievers, compare, engine)
    else:
        models = _without_ranker(dataset, retrievers, compare)
    all_table, valid_table = _tables(dataset, models)
    return Evaluation(
        dataset=dataset,
        users=data.user_count,
        valid_users=len(models.valid),
        runs=models.runs,
        checkpoints=retrievers.checkpoints(),
        valid_runs=models.valid_runs,
        valid=models.valid,
        all_table=all_table,
        valid_table=valid_table,
        comparison=_compare(models.compared, *models.pair),
        ablation=models.ablation,
        reported=TABLE_4.get(dataset, {}),
        unchanged=models.unchanged,
    )


def _open_ranker_of(context: Context, dataset: str, name: str, data: PreparedData) -> Artefact:
    artefact = open_ranker(context, name, data)
    own = artefact.manifest.config["dataset"]
    if own != dataset:
        raise UsageError(
            f"{name} is a ranker of {own}, not of {dataset}.", command("evaluate", dataset=own, ranker=name)
        )
    return artefact


def _with_ranker(
    context: Context,
    data: PreparedData,
    ranker: Artefact,
    retrievers: EvaluatedRetrievers,
    compare: tuple[str, str] | None,
    engine: str,
) -> _Models:
    """Return the retrievers, the final order of a ranker, and its language model alone if it reads candidates."""
    config = ranker.manifest.config
    groups = FusionGroups.from_json(ranker.manifest.metrics["fusion"])
    own = [] if groups.model is None else [groups.model]
    _check_compared(compare, [*retrievers.runs(), *own, TWO_STAGES])
    first_stage = retrievers.columns[config["retriever"]]
    retrieved = retrievers.results[config["retriever"]].ranks_S
    by_group = ranks_by_group(context, ranker, data, engine)
    runs: dict[str, list[Ranks]] = {**retrievers.runs(), **{name: [by_group[name]] for name in own}}
    runs[TWO_STAGES] = [by_group[groups.chosen]]
    # The valid users are those whose item this very checkpoint retrieved, so its other seeds are not measured on them.
    valid_runs: dict[str, list[Ranks]] = {**runs, first_stage: [retrieved]}
    in_pool = np.flatnonzero(retrieved <= config["pool"])
    return _Models(
        runs=runs,
        valid_runs=valid_runs,
        valid=np.flatnonzero(retrieved <= config["k"]),
        pair=compare or (TWO_STAGES, first_stage),
        compared=runs if compare else valid_runs,
        ablation=ablate(groups, {name: ranks[in_pool] for name, ranks in by_group.items()}),
        unchanged=first_stage if groups.chosen == RETRIEVER else None,
    )


def _without_ranker(dataset: str, retrievers: EvaluatedRetrievers, compare: tuple[str, str] | None) -> _Models:
    runs = retrievers.runs()
    _check_compared(compare, runs)
    results, default = retrievers.results, retriever_name(dataset)
    valid = results[default if default in results else next(iter(results))].retrieved
    best = sorted(runs, key=lambda model: -fmean(all_metrics(ranks)["ndcg@10"] for ranks in runs[model]))
    return _Models(
        runs=runs, valid_runs=runs, valid=valid, pair=compare or (best[0], best[1 % len(best)]), compared=runs
    )


def _check_compared(compare: tuple[str, str] | None, known: Collection[str]) -> None:
    for model in compare or ():
        if model not in known:
            raise UnknownNameError(model, "model among those evaluated", known)


def _tables(dataset: str, models: _Models) -> tuple[MetricTable, MetricTable]:
    """Return the tables over all users and over the valid ones."""
    users = len(next(iter(models.runs.values()))[0])
    return (
        metric_table(
            f"{dataset}, test, all {users:,} users",
            {model: [all_metrics(ranks) for ranks in runs] for model, runs in models.runs.items()},
            TABLE_1.get(dataset, {}),
        ),
        metric_table(
            f"{dataset}, test, {len(models.valid):,} users whose item was retrieved",
            {model: [all_metrics(ranks[models.valid]) for ranks in runs] for model, runs in models.valid_runs.items()},
            TABLE_3.get(dataset, {}),
        ),
    )


def _compare(runs: Runs, one: str, other: str) -> Comparison | None:
    """Compare two models by each user's mean over the runs."""
    if one == other:
        return None
    gains, others = _mean_gains(runs[one]), _mean_gains(runs[other])
    return Comparison(one, other, {metric: paired_bootstrap(gains[metric], others[metric]) for metric in gains})


def _mean_gains(runs: list[Ranks]) -> dict[str, npt.NDArray[np.float64]]:
    of_each = [gains_per_user(ranks) for ranks in runs]
    return {metric: np.mean([gains[metric] for gains in of_each], axis=0) for metric in of_each[0]}
