"""Adapter training of the verbalizer, from a plan to files: resumes a saved state, trains, writes the adapter."""

from __future__ import annotations

import gc
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from llamarec_cli.data.splits import training_sequences
from llamarec_cli.devices import own_device
from llamarec_cli.language_model.adapters import save_adapter
from llamarec_cli.language_model.base_models import load_base_model, load_tokenizer
from llamarec_cli.language_model.forward import position_limit
from llamarec_cli.ranking.examples import HardNegatives, TrainingExamples
from llamarec_cli.snapshots import TrainingState
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.training import TrainingPlan
from llamarec_cli.strategies.verbalizer.config import RankerConfig
from llamarec_cli.strategies.verbalizer.finetuning import RankerState, RunOptions, train_adapter
from llamarec_cli.strategies.verbalizer.validation import RankerValidation, ValidationSet


def train(plan: TrainingPlan, folder: Path) -> dict[str, Any]:
    """Train an adapter, and write it on the main process.

    Args:
        plan: What to train on; its hyper-parameters are a `RankerConfig`.
        folder: Folder of the checkpoint.

    Returns:
        Metrics for the manifest.

    Raises:
        LlamaRecError: Training diverged, or the base model cannot be used.
    """
    services, config = plan.services, plan.hyperparameters
    with services.workers.main_first():
        hard, metrics = _hard_negatives(plan, config)
    state = _saved_state(plan) if services.workers.is_main else None
    # Broadcast rather than loaded by every process: the main process overwrites the file while others may still read.
    state = services.workers.broadcast(state)
    with services.logging(state.validations[-1].step if state else 0) as log:
        options = RunOptions(plan.max_minutes, state, services.workers, log=log, report=services.report)
        if services.workers.is_main:
            options = replace(options, save_state=lambda state: services.state.save(state.tensors, state.numbers()))
        model, tokenizer = load_base_model(plan.base, own_device(), plan.quantization), load_tokenizer(plan.base)
        adapted, state = train_adapter(
            model,
            PromptEncoder(tokenizer, plan.data.titles, positions=position_limit(model)),
            TrainingExamples(training_sequences(plan.data), plan.data.item_count, plan.k, config.seed, hard),
            ValidationSet(plan.validation),
            config,
            options,
        )
    if services.workers.is_main:
        save_adapter(adapted, folder, plan.base_name)
    # Quantised layers are in reference cycles; their memory must be free before the next model is loaded.
    del adapted, model
    gc.collect()
    return {
        **metrics,
        "validation": [asdict(one) for one in state.validations],
        "examples": state.validations[-1].examples,
        "training_minutes": round(state.seconds / 60, 1),
    }


def _saved_state(plan: TrainingPlan) -> RankerState | None:
    saved = plan.services.state.load()
    return TrainingState.restore(RankerValidation, *saved) if saved else None


def _hard_negatives(plan: TrainingPlan, config: RankerConfig) -> tuple[HardNegatives | None, dict[str, Any]]:
    """Return the source of hard negatives, if the configuration has any, and its metrics for the manifest."""
    if config.negatives == "random":
        return None, {}
    retriever = plan.services.negatives
    assert retriever is not None
    curriculum = config.curriculum_examples if config.negatives == "mixed" else 0
    # The metrics train the retrievers if they are missing.
    return HardNegatives(retriever.retrieve, curriculum), {"cross_fitting": retriever.figures()}
