"""`train ranker`: train the strategy of the language model, if there is one, and fit the fusion of signals."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import (
    candidate_reader,
    count_items,
    first_stage_signals,
    retrieved_examples,
    save_counts,
    trained_precision,
)
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.data.splits import training_sequences
from llamarec_cli.devices import best_device
from llamarec_cli.pipeline.train.cross_fitting import CrossFitting
from llamarec_cli.pipeline.train.ranker_plan import RankerPlan, RankerRequest, make_plan, resolve_settings
from llamarec_cli.pipeline.train.tensorboard import metrics_log
from llamarec_cli.ranking.fusion import FusionGroups
from llamarec_cli.ranking.fusion_fit import Available, fit_groups
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.ranking.signals import SignalSource
from llamarec_cli.retrieval.neighbours import ItemCounts
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.registry import ScorerSpec, open_scorer
from llamarec_cli.strategies.training import TrainingPlan, TrainingServices
from llamarec_cli.strategies.worker_group import WorkerGroup


def train(context: Context, request: RankerRequest, workers: WorkerGroup | None = None) -> Artefact | None:
    """Train a ranker: the strategy of its language model, and the fusion on validation users.

    Args:
        context: Store and reporting callbacks.
        request: What to train.
        workers: Processes that train together; each calls this function with the same request. Only a training by
            gradient descent uses the workers. They wait until the main process has made the plan and all artefacts that
            it needs, and return when the strategy is trained, while the main process fits the fusion alone.

    Returns:
        The checkpoint; None on workers.

    Raises:
        LlamaRecError: The name is taken, something it needs cannot be had, nothing was retrieved, or training diverged.
        UsageError: An argument or the configuration is wrong.
    """
    workers = workers or WorkerGroup()
    settings = resolve_settings(context, request)
    if not workers.is_main and not settings.trains_by_gradient:
        return None
    with workers.main_first():
        plan = make_plan(context, settings)
    run = _Run(context, plan, workers)
    if not workers.is_main:
        with tempfile.TemporaryDirectory() as folder:
            run.train_strategy(Path(folder))
        return None
    manifest = plan.manifest(context)
    began = time.monotonic()
    with context.store.making(plan.name, context.say), context.store.stage(manifest, replace=request.replace) as folder:
        metrics = run.train_strategy(folder)
        workers.leave()
        counts = count_items(training_sequences(plan.data), plan.data.item_count)
        manifest.config["counts"] = save_counts(counts, folder)
        groups = run.fit(folder, counts, manifest.config, metrics)
        manifest.metrics.update(
            {
                "fusion": groups.as_json(),
                **metrics,
                "minutes": round((time.monotonic() - began) / 60, 1),
                "device": str(best_device()),
            }
        )
    run.clear()
    return context.store.open(plan.name, Kind.RANKER)


class _Run:
    """Execution of a plan, with what it saves to resume from after an interruption.

    Args:
        context: Store and reporting callbacks.
        plan: The plan.
        workers: Processes that train together.
    """

    def __init__(self, context: Context, plan: RankerPlan, workers: WorkerGroup) -> None:
        self._context, self._plan, self._workers = context, plan, workers
        self._state = TrainingStates(context, *plan.training_state())
        self._cross_fitting: CrossFitting | None = None
        if plan.settings.trains_by_gradient:
            seed = plan.settings.hyperparameters.seed
            self._cross_fitting = CrossFitting(context, plan.name, plan.data, plan.first_stage.artefact, plan.k, seed)

    def train_strategy(self, folder: Path) -> dict[str, Any]:
        """Train the strategy into a folder, and return metrics for the manifest; none if there is nothing to train."""
        plan, settings = self._plan, self._plan.settings
        if settings.row is None or settings.row.train is None:
            return {}
        assert plan.base is not None
        log_folder = settings.request.tensorboard if self._workers.is_main else None
        services = TrainingServices(
            workers=self._workers,
            state=self._state,
            negatives=self._cross_fitting,
            logging=lambda step: metrics_log(log_folder, step),
            report=self._context.report,
        )
        training = TrainingPlan(
            base=plan.base.path,
            base_name=plan.base.name,
            data=plan.data,
            k=plan.k,
            validation=plan.selection,
            hyperparameters=settings.hyperparameters if settings.trains_by_gradient else None,
            quantization=settings.quantization,
            max_minutes=settings.request.max_minutes,
            services=services,
        )
        return settings.row.train(training, folder)

    def fit(
        self, folder: Path, counts: ItemCounts, config: Mapping[str, Any], metrics: Mapping[str, Any]
    ) -> FusionGroups:
        """Fit the fusion of every group of signals on the validation users of the plan.

        The scorer is opened from the folder as it will be for users, so that the fusion is fitted to the same scores.

        Args:
            folder: Folder of the checkpoint.
            counts: Item counts of the training sequences.
            config: Configuration in the manifest.
            metrics: Metrics of the strategy's training.
        """
        context, plan, settings = self._context, self._plan, self._plan.settings

        def load_scorer() -> CandidateScorer:
            assert settings.strategy is not None
            assert plan.base is not None
            precision = trained_precision(config)
            return open_scorer(ScorerSpec(settings.strategy, plan.base.path, folder, plan.data.titles, precision))

        source = SignalSource(counts, plan.data.titles, load_scorer)
        found = plan.found.of_users(plan.fusing)
        examples = retrieved_examples(plan.cases.of_users(plan.fusing), found)
        states = self._scores(metrics)
        return fit_groups(
            source.compute(examples, found.candidates, settings.signals),
            found.candidates.items_SK > 0,
            np.array([example.answer for example in examples], dtype=np.int64),
            Available(*first_stage_signals(plan.first_stage.model), settings.signals, settings.strategy),
            plan.k,
            candidate_reader(context, source, examples, stage="fit the fusion", states=states),
        )

    def clear(self) -> None:
        """Delete everything saved, once the ranker is in the store."""
        self._state.clear()
        self._scores({}).clear()
        if self._cross_fitting is not None:
            self._cross_fitting.clear()

    def _scores(self, metrics: Mapping[str, Any]) -> TrainingStates:
        """Return the saved scores of the language model, whose weights are identified by the metrics of training."""
        plan = self._plan
        recipe = {"made": metrics, "k": plan.k, "pool": plan.pool, "parents": plan.parents}
        return TrainingStates(self._context, f"{plan.name}.scores", recipe)
