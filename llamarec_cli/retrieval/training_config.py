"""Hyper-parameters of a neural retriever's training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingConfig:
    """How a retriever is trained; the defaults are the paper's (section 4.0.4).

    Attributes:
        learning_rate: Of AdamW.
        weight_decay: Of AdamW, not applied to biases and norms; the paper searches 0 and 0.01.
        batch_size: Training windows per step; 16 for ml-100k, 64 otherwise.
        epochs: Maximum number of passes over the training windows.
        validate_every: Steps between validations.
        patience: Validations without a better Recall@10 after which training stops.
        gradient_clip: Maximum norm of the gradient.
        averaging: Decay of an exponential moving average of the weights. If it is above 0, the averaged weights are
            validated and kept.
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
