"""`bench retriever`: time and memory of training and evaluating a retriever on the real batches of a data set.

The weights are random; neither time nor memory depends on them.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
import torch

from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.splits import Split, held_out, training_sequences
from llamarec_cli.devices import best_device
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.pipeline.bench.machine import Machine, measure_machine, median_ms, peak_memory
from llamarec_cli.pipeline.prepare import need_dataset
from llamarec_cli.progress import Progress
from llamarec_cli.retrieval.batches import TrainingWindows
from llamarec_cli.retrieval.candidates import rank_targets, retrieve
from llamarec_cli.retrieval.models import retriever_row
from llamarec_cli.retrieval.presets import architecture_preset, training_preset
from llamarec_cli.retrieval.training import Trainer

_WARM_UP = 5
# Of two layers of the default base model.
_TITLE_WIDTH = 1152
_PASSES = 3


@dataclass(frozen=True)
class RetrieverBench:
    """What was measured; medians.

    Attributes:
        dataset: Name of the data set.
        model: Name of the retriever.
        machine: Where.
        step_ms: One training step, in milliseconds.
        positions: Mean number of real positions in a step.
        steps: Steps that were timed.
        users: Users that were evaluated.
        rank_ms: Milliseconds for the rank of one user's true item among the whole catalogue.
        retrieve_ms: Milliseconds for the 20 best items of one user.
        evaluation_bytes: How far memory rose above the loaded model and data while all users were evaluated; None where
            the system does not tell.
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
        """Users ranked a second."""
        return 1000 / self.rank_ms


def bench_retriever(context: Context, dataset: str, *, model: str, steps: int) -> RetrieverBench:
    """Measure a neural retriever.

    Args:
        context: Surroundings.
        dataset: Name of the data set; prepared first if it is missing.
        model: A name of `RETRIEVERS`; a neural one.
        steps: Training steps to time, after five to warm up.

    Raises:
        LlamaRecError: The data set cannot be had, or nobody in it can be trained on.
        UsageError: The retriever is not trained in steps.
    """
    row = retriever_row(model)
    if not row.is_neural:
        raise UsageError(f"{model} is not trained in steps.", "llamarec bench retriever --model lrurec")
    data, _ = need_dataset(context, dataset)
    device = best_device()
    context.report(Progress("measure the machine"))
    machine = measure_machine()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        trainer = Trainer(
            row, data.item_count, architecture_preset(dataset, row), training_preset(dataset, row), device
        )
        cases = held_out(data, Split.TEST)
        windows = TrainingWindows.cut(training_sequences(data), trainer.model.config.max_length)
        if not len(windows) or not len(cases):
            raise LlamaRecError(f"{dataset} holds too little to train on.", "Use a data set with longer sequences.")
        # Memory first: what later work frees, the process keeps, and it would hide what evaluation takes.
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
