"""Hyper-parameters of adapter training, and two presets (paper, section 4.0.4)."""

from __future__ import annotations

from dataclasses import dataclass

from llamarec_cli.errors import UnknownNameError

LOSSES = ("vocabulary", "letters")
NEGATIVES = ("random", "retriever", "mixed")

_POSITIVE = ("lora_rank", "lora_alpha", "batch_size", "tokens_a_pass", "epochs", "validate_every", "patience")
_NOT_NEGATIVE = ("warmup_steps", "max_examples", "validation_users", "curriculum_examples")


@dataclass(frozen=True)
class RankerConfig:
    """Hyper-parameters; the defaults are the paper's (section 4.0.4).

    Attributes:
        lora_rank: Inner dimension r of the adapter.
        lora_alpha: Scale of the adapter, whose output is multiplied by alpha / r.
        lora_dropout: Dropout on the adapter's input.
        lora_targets: Names of the linear layers to adapt; empty for `q_proj` and `v_proj`, as in the paper, or where
            the architecture has none of these names, peft's default.
        loss: `vocabulary`, as in the paper: cross-entropy of letter and end of sequence over the vocabulary; or
            `letters`: cross-entropy of the letter over the candidates' letters.
        negatives: `random`, as in the paper; `retriever`, the top K of a retriever that was not trained on the user; or
            `mixed`, a curriculum from random to the retriever's.
        curriculum_examples: Length of the curriculum of `mixed`, in examples.
        learning_rate: Learning rate of AdamW after the warm-up.
        warmup_steps: Steps of linear warm-up. The learning rate is constant afterwards; the official code decays it to
            0 at the end of the epoch, which is unknown to a run with a time limit.
        batch_size: Prompts per step; the paper's code uses 16 for ml-100k and 12 otherwise.
        tokens_a_pass: Maximum number of tokens in a forward pass on CUDA; larger batches accumulate gradients. On a CPU
            a forward pass has one prompt.
        checkpointing: Whether to use activation checkpointing.
        epochs: Number of passes over all examples.
        max_examples: Examples per epoch; 0 for all.
        validate_every: Steps between validations.
        validation_users: Users for the selection of the best step, at most half of those whose item was retrieved; 0
            for half.
        patience: Validations without a better NDCG@10 before training stops.
        gradient_clip: Maximum norm of the gradient.
        seed: Seed of adapter, examples and dropout.

    Raises:
        UnknownNameError: The loss or the kind of negatives is unknown.
        ValueError: A number is out of its range.
    """

    lora_rank: int = 8
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    lora_targets: tuple[str, ...] = ()
    loss: str = "vocabulary"
    negatives: str = "random"
    curriculum_examples: int = 2_000
    learning_rate: float = 1e-4
    warmup_steps: int = 100
    batch_size: int = 16
    tokens_a_pass: int = 16_384
    checkpointing: bool = True
    epochs: int = 1
    max_examples: int = 0
    validate_every: int = 100
    validation_users: int = 0
    patience: int = 20
    gradient_clip: float = 1.0
    seed: int = 42

    def __post_init__(self) -> None:
        for names, least in ((_POSITIVE, 1), (_NOT_NEGATIVE, 0)):
            for name in names:
                if getattr(self, name) < least:
                    raise ValueError(f"{name} must be at least {least}")
        if not 0 <= self.seed < 2**32:
            raise ValueError("seed must be from 0 to 4294967295")
        for value, known, kind in ((self.loss, LOSSES, "loss"), (self.negatives, NEGATIVES, "kind of negatives")):
            if value not in known:
                raise UnknownNameError(value, kind, known)
        if not all(isinstance(target, str) for target in self.lora_targets):
            raise ValueError("lora_targets must be names")
        if not 0 <= self.lora_dropout < 1 or self.learning_rate <= 0 or self.gradient_clip <= 0:
            raise ValueError("lora_dropout must be in [0, 1), learning_rate and gradient_clip above 0")


# "paper" is the paper's configuration, for a GPU and a whole epoch. "cpu" is for the few thousand examples that a CPU
# processes in an evening: small batches, a higher learning rate, validation on a sample of users.
PRESETS: dict[str, RankerConfig] = {
    "paper": RankerConfig(),
    "cpu": RankerConfig(
        learning_rate=5e-4,
        warmup_steps=20,
        batch_size=4,
        checkpointing=False,
        validate_every=50,
        validation_users=60,
        patience=10,
    ),
}
