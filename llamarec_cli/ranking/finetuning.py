"""Fine-tuning the ranker: LoRA on a frozen base model, loss at the answer only (paper, section 3.2.2 and 4.0.4).

The answer is the true item's index letter and the end-of-sequence token. Only the hidden states at those two
positions meet the output head, so full logits over the prompt never exist.

A run that was interrupted goes on from its last validation to the same result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError, UsageError, nearest
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.ranking.adapters import adapter_parameters, add_adapter
from llamarec_cli.ranking.engine import PromptEncoder, RankingEngine, head_of, transformer_of
from llamarec_cli.ranking.examples import RankingExample, TrainingExamples
from llamarec_cli.ranking.validation import RankerValidation, ValidationSet, describe_validation, validate
from llamarec_cli.snapshots import TrainingState, dropout_seed, part, restore_snapshot, take_snapshot

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
        epochs: Passes over all examples.
        max_examples: Examples in an epoch; 0 for all.
        validate_every: Steps between validations.
        validation_users: Users that select the best step, at most half of those whose item was retrieved; 0 for half.
        patience: Stop after so many validations without a better NDCG@10.
        gradient_clip: Largest norm of the gradient.
        seed: Of adapter, examples and dropout.

    Raises:
        UsageError: There is no such loss, or there are no such negatives.
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
    epochs: int = 1
    max_examples: int = 0
    validate_every: int = 100
    validation_users: int = 0
    patience: int = 20
    gradient_clip: float = 1.0
    seed: int = 42

    def __post_init__(self) -> None:
        counts = (self.lora_rank, self.lora_alpha, self.batch_size, self.epochs, self.validate_every, self.patience)
        may_be_0 = (self.warmup_steps, self.max_examples, self.validation_users, self.curriculum_examples)
        if min(counts) < 1 or min(may_be_0) < 0:
            raise ValueError(
                "counts must be positive; warmup_steps, max_examples, validation_users and curriculum_examples may be 0"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError("seed must be from 0 to 4294967295")
        for value, known, what in ((self.loss, LOSSES, "is no loss"), (self.negatives, NEGATIVES, "are no negatives")):
            if value not in known:
                raise UsageError(f"{value} {what}: {nearest(value, known)}", f"Known: {', '.join(known)}.")
        if not all(isinstance(target, str) for target in self.lora_targets):
            raise ValueError("lora_targets must be names")
        if not 0 <= self.lora_dropout < 1 or self.learning_rate <= 0 or self.gradient_clip <= 0:
            raise ValueError("lora_dropout must be in [0, 1), learning_rate and gradient_clip above 0")


# "paper" is the paper's recipe, made for a GPU and a whole epoch. "cpu" is for the few thousand examples that a CPU
# sees in an evening: smaller steps taken sooner, validation on a sample.
PRESETS: dict[str, RankerConfig] = {
    "paper": RankerConfig(),
    "cpu": RankerConfig(
        learning_rate=5e-4, warmup_steps=20, batch_size=4, validate_every=50, validation_users=60, patience=10
    ),
}


RankerState = TrainingState[RankerValidation]


def answer_loss(
    model: Any, encoder: PromptEncoder, examples: Sequence[RankingExample], *, letters_alone: bool = False
) -> Tensor:
    """Return the sum over examples of the mean negative log-likelihood of letter and end of sequence, in nats.

    Args:
        model: A causal language model, with or without adapter layers inside.
        encoder: Turns item ids into prompts.
        examples: Prompts of one forward pass; padded at their right, where causal attention never looks.
        letters_alone: Whether only the candidates' letters compete, and the end of the sequence does not count.
    """
    end = encoder.tokenizer.eos_token_id
    rows = [
        [*encoder.encode(example.history.tolist(), example.candidates.tolist()), encoder.label_ids[example.answer]]
        for example in examples
    ]
    longest = max(len(row) for row in rows)
    ids_BL = torch.tensor([row + [end] * (longest - len(row)) for row in rows], device=model.device)
    mask_BL = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=model.device)
    padded = len({len(row) for row in rows}) > 1
    hidden_BLD = transformer_of(model)(
        input_ids=ids_BL, attention_mask=mask_BL if padded else None, use_cache=False
    ).last_hidden_state
    ends = torch.tensor([len(row) for row in rows], device=model.device)
    index = torch.arange(len(rows), device=model.device)
    if letters_alone:
        rows_LD = head_of(model)[torch.tensor(encoder.label_ids, device=model.device)]
        logits_BL = hidden_BLD[index, ends - 2].float() @ rows_LD.float().T
        counts = torch.tensor([len(example.candidates) for example in examples], device=model.device)
        beyond = torch.arange(logits_BL.shape[1], device=model.device) >= counts.unsqueeze(1)
        answers = torch.tensor([example.answer for example in examples], device=model.device)
        return torch.nn.functional.cross_entropy(logits_BL.masked_fill(beyond, -torch.inf), answers, reduction="sum")
    # The last token of the prompt predicts the letter, the letter predicts the end of the sequence.
    hidden_2B = torch.cat([hidden_BLD[index, ends - 2], hidden_BLD[index, ends - 1]])
    targets_2B = torch.cat([ids_BL[index, ends - 1], torch.full_like(ends, end)])
    logits = hidden_2B @ head_of(model).to(hidden_2B.dtype).T
    return torch.nn.functional.cross_entropy(logits.float(), targets_2B, reduction="sum") / 2


def train_ranker(
    model: Any,
    encoder: PromptEncoder,
    examples: TrainingExamples,
    validation: ValidationSet,
    config: RankerConfig,
    *,
    prompts_a_pass: int,
    max_minutes: float | None = None,
    resume: RankerState | None = None,
    save_state: Callable[[RankerState], None] = lambda _: None,
    report: Reporter = silent,
) -> tuple[Any, RankerState]:
    """Train a LoRA adapter and return the peft model as it was at its best validation.

    Args:
        model: A frozen base model.
        encoder: Turns item ids into prompts.
        examples: Training examples.
        validation: Validation users that select the best step.
        config: Hyper-parameters.
        prompts_a_pass: Prompts in one forward pass; the gradients of a batch are accumulated. 1 on a CPU, where a
            batch saves no time and padding costs some.
        max_minutes: Stop after this time, counted over interruptions.
        resume: State of an interrupted run with the same data and configuration.
        save_state: Called after each validation.
        report: Progress.

    Returns:
        The peft model in evaluation mode, and the final state with all validations.
    """
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        adapted = add_adapter(model, config.lora_rank, config.lora_alpha, config.lora_dropout, config.lora_targets)
        parameters = adapter_parameters(adapted)
        optimiser = torch.optim.AdamW(list(parameters.values()), lr=config.learning_rate, weight_decay=0.0)
        state = RankerState()
        if resume is not None:
            state = resume
            restore_snapshot(state.tensors, parameters, optimiser)
        run = _Run(adapted, encoder, parameters, optimiser, config, state)
        run.loop(examples, validation, prompts_a_pass, max_minutes, save_state, report)
    with torch.no_grad():
        for name, value in part(run.state.tensors, "best").items():
            parameters[name].copy_(value)
    return adapted.eval(), run.state


@dataclass
class _Run:
    adapted: Any
    encoder: PromptEncoder
    parameters: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    config: RankerConfig
    state: RankerState

    @property
    def model(self) -> Any:
        """The causal language model with the adapter's layers inside."""
        return self.adapted.get_base_model()

    def loop(
        self,
        examples: TrainingExamples,
        validation: ValidationSet,
        prompts_a_pass: int,
        max_minutes: float | None,
        save_state: Callable[[RankerState], None],
        report: Reporter,
    ) -> None:
        config, state = self.config, self.state
        if state.finished:
            return
        available = min(len(examples), config.max_examples or len(examples))
        total = config.epochs * -(-available // config.batch_size)
        began = time.monotonic() - state.seconds
        if not state.validations:
            # Before the first step, to show what the base model does untrained. It cannot become the best: untrained,
            # letters follow the candidates' order, and so borrow the retriever's figure without reading a title.
            self._validate(validation, 0, 0, 0.0, report)
            save_state(state)
        step, seen = state.validations[-1].step, state.validations[-1].examples
        out_of_time = step > 0 and state.is_over(max_minutes)
        losses: list[float] = []
        torch.manual_seed(dropout_seed(config.seed, step))
        while not (state.finished or out_of_time):
            epoch, step_of_epoch = divmod(step, total // config.epochs)
            first = step_of_epoch * config.batch_size
            indices = range(first, min(first + config.batch_size, available))
            batch = examples.batch(indices, passed=epoch * available)
            losses.append(self._step(batch, step, prompts_a_pass))
            if not math.isfinite(losses[-1]):
                raise LlamaRecError(
                    f"Training diverged: the loss is {losses[-1]} after step {step + 1}.",
                    "Lower learning_rate in the table [ranker] of a --config file.",
                )
            step, seen = step + 1, seen + len(batch)
            state.seconds = time.monotonic() - began
            out_of_time = state.is_over(max_minutes)
            pace = f"loss {np.mean(losses[-25:]):.3f}, {state.seconds / seen:.1f} s an example"
            report(Progress("train ranker", step, total, pace))
            if step % config.validate_every and step != total and not out_of_time:
                continue
            self._validate(validation, step, seen, float(np.mean(losses)), report)
            state.seconds = time.monotonic() - began
            state.finished = step == total or _stale(state.validations) >= config.patience
            save_state(state)
            losses.clear()
            torch.manual_seed(dropout_seed(config.seed, step))
        report(Progress("train ranker", total, total))

    def _step(self, batch: list[RankingExample], step: int, prompts_a_pass: int) -> float:
        self.adapted.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * min(1.0, (step + 1) / max(1, self.config.warmup_steps))
        self.optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for begin in range(0, len(batch), prompts_a_pass):
            some = batch[begin : begin + prompts_a_pass]
            letters_alone = self.config.loss == "letters"
            loss = answer_loss(self.model, self.encoder, some, letters_alone=letters_alone) / len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self.config.gradient_clip)
        self.optimiser.step()
        return total

    def _validate(self, sample: ValidationSet, step: int, seen: int, loss: float, report: Reporter) -> None:
        self.adapted.eval()
        engine = RankingEngine(self.model, self.encoder)
        validation = validate(engine, sample, step, seen, loss, self.config.seed, report)
        state = self.state
        best = part(state.tensors, "best")
        state.validations.append(validation)
        if _stale(state.validations) == 0:
            best = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        state.tensors = take_snapshot(self.parameters, self.optimiser)
        state.tensors |= {f"best.{name}": value for name, value in best.items()}
        note = describe_validation(validation, sample)
        report(Progress("validate", len(sample.examples), len(sample.examples), note=note))


def _stale(validations: list[RankerValidation]) -> int:
    """Return how many validations have passed since the best one; the one before the first step does not count."""
    figures = [validation.ndcg for validation in validations if validation.step > 0]
    return len(figures) - 1 - figures.index(max(figures)) if figures else 0
