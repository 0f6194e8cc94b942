"""Training a retriever: next-item prediction at every real position, early stopping on validation Recall@10.

As the paper, section 4.0.4: AdamW, learning rate 1e-3, at most 500 epochs, validation every 500 steps, patience 20.
Beyond the paper, and off by default, what is validated and kept may be a moving average of the weights.

A run that was interrupted goes on from its last validation to the same result.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llamarec_cli.data.splits import HeldOut, Sequences
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.evaluation.metrics import ndcg_at, recall_at
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.retrieval.batches import TrainingBatch, TrainingWindows
from llamarec_cli.retrieval.candidates import rank_targets
from llamarec_cli.retrieval.item_texts import RawVectors
from llamarec_cli.retrieval.models import RetrieverRow
from llamarec_cli.snapshots import TrainingState, dropout_seed, part, restore_snapshot, take_snapshot


@dataclass(frozen=True)
class TrainingConfig:
    """How a retriever is trained; the defaults are the paper's (section 4.0.4).

    Attributes:
        learning_rate: Of AdamW.
        weight_decay: Of AdamW, not applied to biases and norms; the paper searches 0 and 0.01.
        batch_size: Windows a step; 16 for ml-100k, 64 otherwise.
        epochs: At most so many passes over the training windows.
        validate_every: Steps between validations.
        patience: Stop after so many validations without a better Recall@10.
        gradient_clip: Largest norm of the gradient.
        averaging: Decay of a moving average of the weights, which is then what is validated and kept; 0 is none.
        seed: Of initialisation, order and dropout.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    batch_size: int = 64
    epochs: int = 500
    validate_every: int = 500
    patience: int = 20
    gradient_clip: float = 5.0
    averaging: float = 0.0
    seed: int = 42

    def __post_init__(self) -> None:
        if min(self.batch_size, self.epochs, self.validate_every, self.patience) < 1:
            raise ValueError("batch_size, epochs, validate_every and patience must be at least 1")
        if not 0 <= self.seed < 2**32:
            raise ValueError("seed must be from 0 to 4294967295")
        if self.learning_rate <= 0 or self.weight_decay < 0 or self.gradient_clip <= 0:
            raise ValueError("learning_rate and gradient_clip must be above 0, weight_decay not below")
        if not 0 <= self.averaging < 1:
            raise ValueError("averaging must be at least 0 and below 1")


@dataclass(frozen=True)
class Validation:
    """One validation.

    Attributes:
        step: Training steps before it.
        loss: Mean training loss since the last one, in nats.
        recall: Recall@10 over all users.
        ndcg: NDCG@10 over all users.
    """

    step: int
    loss: float
    recall: float
    ndcg: float


RetrieverState = TrainingState[Validation]


def train_retriever(
    sequences: Sequences,
    validation: HeldOut,
    item_count: int,
    row: RetrieverRow,
    model_config: Any,
    config: TrainingConfig,
    *,
    device: torch.device,
    raw: RawVectors | None = None,
    max_minutes: float | None = None,
    max_steps: int | None = None,
    resume: RetrieverState | None = None,
    save_state: Callable[[RetrieverState], None] = lambda _: None,
    report: Reporter = silent,
) -> tuple[Any, RetrieverState]:
    """Train a neural retriever and return it as it was at its best validation.

    Args:
        sequences: Training part of every user's sequence.
        validation: Held-out cases that select the best step.
        item_count: Number of items, without the padding.
        row: Which retriever.
        model_config: Its configuration.
        config: Hyper-parameters.
        device: Where to train.
        raw: Raw vectors of the items' titles by source, for a retriever that reads them.
        max_minutes: Stop after this time, counted over interruptions.
        max_steps: Stop at the first validation after so many steps, unfinished.
        resume: State of an interrupted run with the same data and configuration.
        save_state: Called after each validation.
        report: Progress.

    Returns:
        The model, and the final state with all validations.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        run = Trainer(row, item_count, model_config, config, device, raw)
        if resume is not None:
            run.restore(resume)
        state = _loop(run, sequences, validation, config, max_minutes, max_steps, save_state, report)
    run.model.load_state_dict(part(state.tensors, "best"))
    return run.model.eval(), state


class Trainer:
    """A model under training with its optimiser, and how they turn into a state and back.

    Args:
        row: Which retriever.
        item_count: Number of items, without the padding.
        model_config: Configuration of the model, which is made with random weights.
        config: Hyper-parameters.
        device: Where to train.
        raw: Raw vectors of the items' titles by source, for a retriever that reads them.
    """

    def __init__(
        self,
        row: RetrieverRow,
        item_count: int,
        model_config: Any,
        config: TrainingConfig,
        device: torch.device,
        raw: RawVectors | None = None,
    ) -> None:
        self.row, self.config, self.device = row, config, device
        make: Any = row.model
        self.model = make(item_count, model_config, *([raw] if row.reads_titles else [])).to(device)
        self.named = dict(self.model.named_parameters())
        plain = [p for name, p in self.named.items() if "norm" in name or name.endswith("bias")]
        decayed = [p for name, p in self.named.items() if not ("norm" in name or name.endswith("bias"))]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            fused=True,
        )
        self.averaged = copy.deepcopy(self.model) if config.averaging else None
        self.state = RetrieverState()

    @property
    def validated(self) -> Any:
        """What is validated and kept: the model, or the moving average of its weights."""
        return self.model if self.averaged is None else self.averaged

    def step(self, batch: TrainingBatch, done: int) -> Tensor:
        """Take one optimiser step, after `done` others, and return the loss, still on the device."""
        self.model.train()
        loss: Tensor = self.model.training_loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimiser.step()
        if self.averaged is not None:
            # A shorter memory at first, or the random initialisation would stay in the average for long.
            decay = min(self.config.averaging, (1 + done) / (10 + done))
            with torch.no_grad():
                for average, parameter in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
                    average.lerp_(parameter, 1 - decay)
        return loss.detach()

    def snapshot(self) -> None:
        """Copy weights and moments into the state; the weights also as `best.*` if the last validation is the best."""
        best = part(self.state.tensors, "best")
        if _stale(self.state.validations) == 0:
            best = {name: value.clone() for name, value in self.validated.state_dict().items()}
        self.state.tensors = take_snapshot(self.named, self.optimiser)
        if self.averaged is not None:
            self.state.tensors |= {f"average.{name}": p.clone() for name, p in self.averaged.state_dict().items()}
        self.state.tensors |= {f"best.{name}": value for name, value in best.items()}

    def restore(self, state: RetrieverState) -> None:
        """Undo `snapshot`."""
        self.state = state
        restore_snapshot(state.tensors, self.named, self.optimiser)
        if self.averaged is not None:
            self.averaged.load_state_dict(part(state.tensors, "average"))


def _loop(
    run: Trainer,
    sequences: Sequences,
    validation: HeldOut,
    config: TrainingConfig,
    max_minutes: float | None,
    max_steps: int | None,
    save_state: Callable[[RetrieverState], None],
    report: Reporter,
) -> RetrieverState:
    windows = TrainingWindows.cut(sequences, run.model.config.max_length)
    if not len(windows):
        raise LlamaRecError(
            "No user has two interactions left to train on once the last two are held out.",
            "Use a data set with longer sequences.",
        )
    steps_an_epoch = -(-len(windows) // config.batch_size)
    total = steps_an_epoch * config.epochs
    state = run.state
    done = state.validations[-1].step if state.validations else 0
    limit = total if max_steps is None else max_steps
    if state.finished or (done and (state.is_over(max_minutes) or done >= limit)):
        return state
    began = time.monotonic() - state.seconds
    losses = torch.zeros((), device=run.device)
    counted = 0
    torch.manual_seed(dropout_seed(config.seed, done))
    for epoch in range(done // steps_an_epoch, config.epochs):
        skipped = done - epoch * steps_an_epoch
        for index, batch in enumerate(windows.epoch(config.batch_size, config.seed, epoch, run.device)):
            if index < skipped:
                continue
            losses += run.step(batch, done)
            counted += 1
            done += 1
            report(_progress(run, done, total))
            if done % config.validate_every and done != total:
                continue
            loss = float(losses) / counted
            if not math.isfinite(loss):
                raise LlamaRecError(
                    f"Training diverged: the loss is {loss} before step {done:,}.",
                    "Lower learning_rate in the table [training] of a --config file.",
                )
            ranks = rank_targets(run.validated, validation)
            state.validations.append(Validation(done, loss, recall_at(ranks, 10), ndcg_at(ranks, 10)))
            state.seconds = time.monotonic() - began
            state.finished = done == total or _stale(state.validations) >= config.patience
            run.snapshot()
            save_state(state)
            report(_progress(run, done, total, note=_sentence(state.validations[-1], _stale(state.validations))))
            if state.finished or state.is_over(max_minutes) or done >= limit:
                report(_progress(run, total, total))
                return state
            losses.zero_()
            counted = 0
            torch.manual_seed(dropout_seed(config.seed, done))
    raise AssertionError("the last step of the last epoch ends the run")


def best_validation(validations: list[Validation]) -> Validation:
    """Return the one with the highest Recall@10; of equals the first."""
    return max(validations, key=lambda validation: validation.recall)


def _stale(validations: list[Validation]) -> int:
    """Return how many validations have passed since the best one."""
    return len(validations) - 1 - validations.index(best_validation(validations))


def _sentence(last: Validation, stale: int) -> str:
    best = "best so far" if stale == 0 else f"{stale} since the best"
    return (
        f"step {last.step:,}: loss {last.loss:.3f}, validation Recall@10 {last.recall:.4f}, "
        f"NDCG@10 {last.ndcg:.4f} ({best})"
    )


def _progress(run: Trainer, done: int, total: int, note: str = "") -> Progress:
    best = max((validation.recall for validation in run.state.validations), default=None)
    detail = "" if best is None else f"best validation Recall@10 {best:.4f}"
    return Progress(f"train {run.row.name}", done, total, detail, note)
