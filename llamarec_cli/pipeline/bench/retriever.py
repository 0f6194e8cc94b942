"""`bench retriever`: time and memory of training and evaluating a retriever on the batches of a data set.

Weights, and the title vectors of a retriever that reads titles, are random: neither time nor memory depends on them.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np
import torch

from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.splits import Split, held_out, training_sequences
from llamarec_cli.devices import best_device
from llamarec_cli.errors import LlamaRecError, UsageError, command
from llamarec_cli.pipeline.bench.machine import Machine, measure_machine, median_ms, peak_memory
from llamarec_cli.pipeline.prepare import need_dataset
from llamarec_cli.progress import Progress
from llamarec_cli.retrieval.batches import TrainingWindows
from llamarec_cli.retrieval.candidates import rank_targets, retrieve
from llamarec_cli.retrieval.features import Features
from llamarec_cli.retrieval.item_texts import RawVectors
from llamarec_cli.retrieval.presets import architecture_preset, training_preset
from llamarec_cli.retrieval.registry import RetrieverRow, retriever_row
from llamarec_cli.retrieval.trainer import Recipe, Trainer

_WARM_UP = 5
# Width of a layer of the default base model; a title vector joins several layers.
_LAYER_WIDTH = 576
_PASSES = 3


@dataclass(frozen=True)
class RetrieverBench:
    """Result of a measurement; times are medians.

    Attributes:
        dataset: Name of the data set.
        model: Name of the retriever.
        machine: The machine it was measured on.
        step_ms: One training step, in milliseconds.
        positions: Mean number of real positions in a step.
        steps: Number of timed steps.
        users: Number of evaluated users.
        rank_ms: Milliseconds per user to rank the true item among the whole catalogue.
        retrieve_ms: Milliseconds per user to retrieve the 20 best items.
        evaluation_bytes: Peak memory of the evaluation of all users, above that of model and data; None if the system
            does not report it.
    """

    dataset: str
    model: str
    machine: Machine
    step_ms: float
    positions: float
    steps: int
    users: int
    rank_ms: float
    retrieve_ms: float
    evaluation_bytes: int | None

    @property
    def users_per_second(self) -> float:
        """Users ranked per second."""
        return 1000 / self.rank_ms


def bench_retriever(context: Context, dataset: str, *, model: str, steps: int) -> RetrieverBench:
    """Measure a neural retriever.

    Args:
        context: Store and reporting callbacks.
        dataset: Name of the data set; prepared first if it is missing.
        model: Name of a neural retriever.
        steps: Training steps to time, after five to warm up.

    Raises:
        LlamaRecError: The data set cannot be had, or is too small to train on.
        UsageError: The retriever is not trained by gradient descent.
    """
    row = retriever_row(model)
    if not row.is_neural:
        raise UsageError(f"{model} is not trained by gradient descent.", command("bench retriever", model="lrurec"))
    data, _ = need_dataset(context, dataset)
    device = best_device()
    context.report(Progress("measure the machine"))
    machine = measure_machine()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        recipe = Recipe(row, architecture_preset(dataset, row), training_preset(dataset, row))
        trainer = Trainer(recipe, data.item_count, device, _random_title_vectors(row, recipe.model, data.item_count))
        cases = held_out(data, Split.TEST)
        windows = TrainingWindows.cut(training_sequences(data), trainer.model.config.max_length)
        if not len(windows) or not len(cases):
            raise LlamaRecError(f"{dataset} is too small to train on.", "Use a data set with longer sequences.")
        # Memory first: memory that later work frees stays with the process and would hide that of the evaluation.
        evaluation_bytes = peak_memory(lambda: rank_targets(trainer.model, cases))
        context.report(Progress("time the evaluation"))
        rank_ms = median_ms(lambda: rank_targets(trainer.model, cases), _PASSES, warm_up=0)
        retrieve_ms = median_ms(lambda: retrieve(trainer.model, cases.histories), _PASSES, warm_up=1)
        batch_size = trainer.config.batch_size
        batches = chain.from_iterable(windows.epoch(batch_size, 0, epoch, device) for epoch in count())
        times, positions = [], []
        for index in range(_WARM_UP + steps):
            batch = next(batches)
            milliseconds = median_ms(lambda batch=batch, index=index: trainer.step(batch, index), 1, warm_up=0)  # type: ignore[misc]
            if index >= _WARM_UP:
                times.append(milliseconds)
                positions.append(len(batch.targets_P))
            context.report(Progress("time training steps", index + 1, _WARM_UP + steps))
    return RetrieverBench(
        dataset,
        model,
        machine,
        round(statistics.median(times), 1),
        round(float(np.mean(positions)), 1),
        steps,
        len(cases),
        round(rank_ms / len(cases), 4),
        round(retrieve_ms / len(cases), 4),
        evaluation_bytes,
    )


def _random_title_vectors(row: RetrieverRow, config: Any, item_count: int) -> RawVectors | None:
    """Return vectors of the shape that a language model's have, for a retriever that reads titles."""
    if not row.reads_titles:
        return None
    width = len(config.depths) * _LAYER_WIDTH
    return {source: torch.randn(item_count, width) for source in Features(config.features).sources}
