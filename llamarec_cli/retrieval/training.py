"""Training a neural retriever: next-item prediction at every real position, early stopping on validation Recall@10.

As in the paper, section 4.0.4: AdamW, learning rate 1e-3, at most 500 epochs, validation every 500 steps, patience 20.
Beyond the paper, and off by default, a moving average of the weights may be validated and kept.

An interrupted run resumes from its last validation and ends with the same result as an uninterrupted one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from llamarec_cli.data.splits import HeldOut, Sequences
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.retrieval.batches import TrainingWindows
from llamarec_cli.retrieval.item_texts import RawVectors
from llamarec_cli.retrieval.trainer import Recipe, RetrieverState, Trainer, Validation, since_best
from llamarec_cli.snapshots import dropout_seed, part


@dataclass(frozen=True)
class TrainingData:
    """What a retriever is trained and validated on.

    Attributes:
        sequences: Training part of every user's sequence.
        validation: Held-out cases that select the best step.
        item_count: Number of items, without the padding.
        raw: Raw vectors of the items' titles by source, for a retriever that reads titles.
    """

    sequences: Sequences
    validation: HeldOut
    item_count: int
    raw: RawVectors | None = None


@dataclass(frozen=True)
class Limits:
    """When a run stops unfinished, at the first validation after either limit.

    Attributes:
        max_minutes: Training time, summed over interruptions.
        max_steps: Training steps.
    """

    max_minutes: float | None = None
    max_steps: int | None = None

    def reached(self, state: RetrieverState, step: int) -> bool:
        """Return whether the run is to stop at this step."""
        return state.is_over(self.max_minutes) or (self.max_steps is not None and step >= self.max_steps)


def train_retriever(
    data: TrainingData,
    recipe: Recipe,
    *,
    device: torch.device,
    limits: Limits = Limits(),
    resume: RetrieverState | None = None,
    save_state: Callable[[RetrieverState], None] = lambda _: None,
    report: Reporter = silent,
) -> tuple[Any, RetrieverState]:
    """Train a neural retriever and return it as it was at its best validation.

    Args:
        data: What to train on.
        recipe: What to train, and how.
        device: Where to train.
        limits: When to stop early.
        resume: State of an interrupted run with the same data and recipe.
        save_state: Called after each validation.
        report: Progress.

    Returns:
        The model, and the final state with all validations.

    Raises:
        LlamaRecError: There is nothing to train on, or training diverged.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.training.seed)
        trainer = Trainer(recipe, data.item_count, device, data.raw)
        if resume is not None:
            trainer.restore(resume)
        state = _run(trainer, data, limits, save_state, report)
    trainer.model.load_state_dict(part(state.tensors, "best"))
    return trainer.model.eval(), state


def _run(
    trainer: Trainer,
    data: TrainingData,
    limits: Limits,
    save_state: Callable[[RetrieverState], None],
    report: Reporter,
) -> RetrieverState:
    config, state = trainer.config, trainer.state
    windows = TrainingWindows.cut(data.sequences, trainer.model.config.max_length)
    if not len(windows):
        raise LlamaRecError(
            "No user has two interactions left to train on once the last two are held out.",
            "Use a data set with longer sequences.",
        )
    steps_per_epoch = -(-len(windows) // config.batch_size)
    total = steps_per_epoch * config.epochs
    done = state.validations[-1].step if state.validations else 0
    if state.finished or (done and limits.reached(state, done)):
        return state
    began = time.monotonic() - state.seconds
    losses = torch.zeros((), device=trainer.device)
    summed = 0
    torch.manual_seed(dropout_seed(config.seed, done))
    for epoch in range(done // steps_per_epoch, config.epochs):
        skipped = done - epoch * steps_per_epoch
        for index, batch in enumerate(windows.epoch(config.batch_size, config.seed, epoch, trainer.device)):
            if index < skipped:
                continue
            losses += trainer.step(batch, done)
            summed += 1
            done += 1
            report(_progress(trainer, done, total, _seconds_left(limits, began)))
            if done % config.validate_every and done != total:
                continue
            trainer.validate(data.validation, done, float(losses) / summed)
            state.seconds = time.monotonic() - began
            state.finished = done == total or since_best(state.validations) >= config.patience
            trainer.snapshot()
            save_state(state)
            report(_progress(trainer, done, total, _seconds_left(limits, began), _validation_note(state.validations)))
            if state.finished or limits.reached(state, done):
                # The bar ends where training does.
                report(_progress(trainer, done, done, note=_stop_note(trainer, done, total, limits)))
                return state
            losses.zero_()
            summed = 0
            torch.manual_seed(dropout_seed(config.seed, done))
    raise AssertionError("the last step of the last epoch ends the run")


def _seconds_left(limits: Limits, began: float) -> float | None:
    if limits.max_minutes is None:
        return None
    return max(0.0, 60 * limits.max_minutes - (time.monotonic() - began))


def _validation_note(validations: list[Validation]) -> str:
    last, since = validations[-1], since_best(validations)
    best = "best so far" if since == 0 else f"{since} since the best"
    return (
        f"step {last.step:,}: loss {last.loss:.3f}, validation Recall@10 {last.recall:.4f}, "
        f"NDCG@10 {last.ndcg:.4f} ({best})"
    )


def _stop_note(trainer: Trainer, done: int, total: int, limits: Limits) -> str:
    """Say why training ends before its last epoch; nothing if it does not, or if the caller limited the steps."""
    if done == total:
        return ""
    if trainer.state.finished:
        since = since_best(trainer.state.validations)
        validations = f"{since} validation{'' if since == 1 else 's'}"
        return f"Stopped early at step {done:,} of {total:,}: {validations} without a better Recall@10."
    if trainer.state.is_over(limits.max_minutes):
        return f"Stopped at step {done:,} of {total:,}: the time limit is reached ({limits.max_minutes:g} min)."
    return ""


def _progress(trainer: Trainer, done: int, total: int, seconds_left: float | None = None, note: str = "") -> Progress:
    best = max((validation.recall for validation in trainer.state.validations), default=None)
    detail = "" if best is None else f"best validation Recall@10 {best:.4f}"
    return Progress(f"train {trainer.recipe.row.name}", done, total, detail, note, seconds_left)
