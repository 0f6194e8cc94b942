"""How a ranker is trained: its hyper-parameters, and two recipes (paper, section 4.0.4)."""

from __future__ import annotations

from dataclasses import dataclass

from llamarec_cli.errors import UnknownNameError

LOSSES = ("vocabulary", "letters")
NEGATIVES = ("random", "retriever", "mixed")


@dataclass(frozen=True)
class RankerConfig:
    """How the ranker is trained; the defaults are the paper's (section 4.0.4).

    Attributes:
        lora_rank: r, the inner dimension of the adapter.
        lora_alpha: Scale of the adapter; its output is multiplied by alpha / r.
        lora_dropout: Dropout on the adapter's input.
        lora_targets: Names of the linear maps adapted; empty for peft's choice for the architecture, which for Llama
            is the paper's, `q_proj` and `v_proj`.
        loss: `vocabulary`, as the paper: the letter against every token, and then the end of the sequence; or
            `letters`: the letter against the candidates' letters alone, which is what ranking asks.
        negatives: Where the other candidates of a training example come from: `random`, as the paper; `retriever`, the
            top K of one that did not see the user, as in evaluation; or `mixed`, from the first to the second.
        curriculum_examples: Examples over which `mixed` goes from random negatives to the retriever's.
        learning_rate: Of AdamW, after the warm-up.
        warmup_steps: Steps over which the learning rate rises from 0; it then stays, while the official code lets it
            fall to 0 by the end of the epoch, which a run that may stop at any time does not know.
        batch_size: Prompts a step; the paper's code uses 16 for ml-100k and 12 otherwise.
        tokens_a_pass: Most tokens of one forward pass on CUDA; a batch takes as many passes as it needs, to the same
            gradient, and fewer tokens need less memory. On a CPU a pass is one prompt.
        checkpointing: Whether each layer is computed again in the backward pass instead of kept from the forward
            pass: one more forward pass of time, in a fraction of the memory.
        epochs: Passes over all examples.
        max_examples: Examples in an epoch; 0 for all.
        validate_every: Steps between validations.
        validation_users: Users that select the best step, at most half of those whose item was retrieved; 0 for half.
        patience: Stop after so many validations without a better NDCG@10.
        gradient_clip: Largest norm of the gradient.
        seed: Of adapter, examples and dropout.

    Raises:
        UnknownNameError: There is no such loss, or there are no such negatives.
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
        sizes = (self.lora_rank, self.lora_alpha, self.batch_size, self.tokens_a_pass)
        counts = (*sizes, self.epochs, self.validate_every, self.patience)
        may_be_0 = (self.warmup_steps, self.max_examples, self.validation_users, self.curriculum_examples)
        if min(counts) < 1 or min(may_be_0) < 0:
            raise ValueError(
                "counts must be positive; warmup_steps, max_examples, validation_users and curriculum_examples may be 0"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError("seed must be from 0 to 4294967295")
        for value, known, kind in ((self.loss, LOSSES, "loss"), (self.negatives, NEGATIVES, "kind of negatives")):
            if value not in known:
                raise UnknownNameError(value, kind, known)
        if not all(isinstance(target, str) for target in self.lora_targets):
            raise ValueError("lora_targets must be names")
        if not 0 <= self.lora_dropout < 1 or self.learning_rate <= 0 or self.gradient_clip <= 0:
            raise ValueError("lora_dropout must be in [0, 1), learning_rate and gradient_clip above 0")


# "paper" is the paper's recipe, made for a GPU and a whole epoch. "cpu" is for the few thousand examples that a CPU
# sees in an evening: small batches and larger steps, validation on a sample.
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
