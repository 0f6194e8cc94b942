"""A neural retriever under training: its optimiser steps, its validations, and the state that a run resumes from."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llamarec_cli.data.splits import HeldOut
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.evaluation.metrics import ndcg_at, recall_at
from llamarec_cli.retrieval.batches import TrainingBatch
from llamarec_cli.retrieval.candidates import rank_targets
from llamarec_cli.retrieval.item_texts import RawVectors
from llamarec_cli.retrieval.registry import RetrieverRow
from llamarec_cli.retrieval.training_config import TrainingConfig
from llamarec_cli.snapshots import TrainingState, part, restore_snapshot, take_snapshot


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how.

    Attributes:
        row: The retriever.
        model: Configuration of its architecture.
        training: Hyper-parameters.
    """

    row: RetrieverRow
    model: Any
    training: TrainingConfig


@dataclass(frozen=True)
class Validation:
    """One validation.

    Attributes:
        step: Training steps before it.
        loss: Mean training loss since the previous validation, in nats.
        recall: Recall@10 over all users.
        ndcg: NDCG@10 over all users.
    """

    step: int
    loss: float
    recall: float
    ndcg: float


RetrieverState = TrainingState[Validation]


class Trainer:
    """A model under training and its optimiser; both convert to a state and back.

    Args:
        recipe: What to train, and how; the model starts with random weights.
        item_count: Number of items, without the padding.
        device: Where to train.
        raw: Raw vectors of the items' titles by source, for a retriever that reads titles.
    """

    def __init__(self, recipe: Recipe, item_count: int, device: torch.device, raw: RawVectors | None = None) -> None:
        self.recipe, self.config, self.device = recipe, recipe.training, device
        row = recipe.row
        self.model = row.model(item_count, recipe.model, *([raw] if row.reads_titles else [])).to(device)
        self.named = dict(self.model.named_parameters())
        plain = [p for name, p in self.named.items() if "norm" in name or name.endswith("bias")]
        decayed = [p for name, p in self.named.items() if not ("norm" in name or name.endswith("bias"))]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=self.config.learning_rate,
            fused=True,
        )
        self.averaged = copy.deepcopy(self.model) if self.config.averaging else None
        self.state = RetrieverState()

    @property
    def validated(self) -> Any:
        """The model that is validated and kept: with the current weights, or with their moving average."""
        return self.model if self.averaged is None else self.averaged

    def step(self, batch: TrainingBatch, done: int) -> Tensor:
        """Take one optimiser step.

        Args:
            batch: What to train on.
            done: Number of steps before this one.

        Returns:
            The loss, still on the device.
        """
        self.model.train()
        loss: Tensor = self.model.training_loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimiser.step()
        if self.averaged is not None:
            # A smaller decay at first, or the random initialisation would dominate the average for long.
            decay = min(self.config.averaging, (1 + done) / (10 + done))
            with torch.no_grad():
                for average, parameter in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
                    average.lerp_(parameter, 1 - decay)
        return loss.detach()

    def validate(self, cases: HeldOut, done: int, loss: float) -> None:
        """Rank the held-out items and append the result to the state.

        Args:
            cases: The held-out cases.
            done: Number of steps so far.
            loss: Mean training loss since the previous validation.

        Raises:
            LlamaRecError: The loss is not finite.
        """
        if not math.isfinite(loss):
            raise LlamaRecError(
                f"Training diverged: the loss is {loss} before step {done:,}.",
                "Lower learning_rate in the table [training] of a `config` file.",
            )
        ranks = rank_targets(self.validated, cases)
        self.state.validations.append(Validation(done, loss, recall_at(ranks, 10), ndcg_at(ranks, 10)))

    def snapshot(self) -> None:
        """Copy weights and optimiser into the state, and the validated weights too if they are the best so far."""
        best = part(self.state.tensors, "best")
        if since_best(self.state.validations) == 0:
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


def best_validation(validations: list[Validation]) -> Validation:
    """Return the validation with the highest Recall@10; the first of several."""
    return max(validations, key=lambda validation: validation.recall)


def since_best(validations: list[Validation]) -> int:
    """Return the number of validations after the best one."""
    return len(validations) - 1 - validations.index(best_validation(validations))
