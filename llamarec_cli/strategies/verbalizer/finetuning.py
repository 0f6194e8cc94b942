"""Fine-tuning the ranker: LoRA on a frozen base model (paper, sections 3.2.2 and 4.0.4).

An interrupted run resumes from its last validation and ends with the same result as an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.adapters import adapter_parameters, add_adapter
from llamarec_cli.language_model.forward import group_by_length
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.ranking.examples import RankingExample, TrainingExamples
from llamarec_cli.snapshots import TrainingState, dropout_seed, part, restore_snapshot, take_snapshot
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.training import LogMetrics
from llamarec_cli.strategies.verbalizer.config import RankerConfig
from llamarec_cli.strategies.verbalizer.engine import RankingEngine
from llamarec_cli.strategies.verbalizer.loss import AnsweredPrompt, answer_loss, encode_example
from llamarec_cli.strategies.verbalizer.validation import RankerValidation, ValidationSet, describe_validation, validate
from llamarec_cli.strategies.worker_group import WorkerGroup

RankerState = TrainingState[RankerValidation]


def _ignore_state(_: RankerState) -> None:
    """Default of `save_state`."""


def _ignore_metrics(_: int, __: Mapping[str, float]) -> None:
    """Default of `log`."""


@dataclass(frozen=True)
class RunOptions:
    """Limits and callbacks of one run of a training; none of them changes what a step computes.

    Attributes:
        max_minutes: Time limit, counted over interruptions; None for no limit.
        resume: State of an interrupted run with the same data and configuration.
        workers: Processes that train together; each is given the same data and returns the same result.
        save_state: Called with the state after each validation.
        log: Called with the optimiser step and metrics by name, after each step and validation.
        report: Progress callback.
    """

    max_minutes: float | None = None
    resume: RankerState | None = None
    workers: WorkerGroup = field(default_factory=WorkerGroup)
    save_state: Callable[[RankerState], None] = _ignore_state
    log: LogMetrics = _ignore_metrics
    report: Reporter = silent


def train_adapter(
    model: Any,
    encoder: PromptEncoder,
    examples: TrainingExamples,
    validation: ValidationSet,
    config: RankerConfig,
    options: RunOptions | None = None,
) -> tuple[Any, RankerState]:
    """Train a LoRA adapter and return the peft model with the weights of its best validation.

    Args:
        model: A frozen base model.
        encoder: Renders and tokenises prompts.
        examples: Training examples.
        validation: Users for the selection of the best step.
        config: Hyper-parameters.
        options: Limits and callbacks.

    Returns:
        The peft model in evaluation mode, and the final state with all validations.

    Raises:
        LlamaRecError: Training diverged.
    """
    options = options or RunOptions()
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        adapted = add_adapter(model, config.lora_rank, config.lora_alpha, config.lora_dropout, config.lora_targets)
        if config.checkpointing:
            model.activation_checkpointing_enable()
        parameters = adapter_parameters(adapted)
        optimiser = make_adamw(list(parameters.values()), config.learning_rate)
        state = RankerState()
        if options.resume is not None:
            state = options.resume
            restore_snapshot(state.tensors, parameters, optimiser)
        run = _Run(adapted, encoder, parameters, optimiser, config, state, options)
        run.loop(examples, validation)
        if config.checkpointing:
            model.activation_checkpointing_disable()
    with torch.no_grad():
        for name, value in part(run.state.tensors, "best").items():
            parameters[name].copy_(value)
    return adapted.eval(), run.state


def make_adamw(parameters: list[Tensor], learning_rate: float) -> torch.optim.Optimizer:
    """Return AdamW for an adapter; on CUDA a paged one, whose state moves to the CPU when GPU memory runs out."""
    if parameters[0].device.type != "cuda":
        return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0)
    from bitsandbytes.optim import PagedAdamW32bit

    optimiser: torch.optim.Optimizer = PagedAdamW32bit(parameters, lr=learning_rate, weight_decay=0.0)
    return optimiser


@dataclass
class _Pace:
    """Throughput of a run since it was started or resumed, without validation."""

    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.seconds / self.examples:.2f} s an example, {self.tokens / self.seconds:,.0f} tokens a second"


@dataclass
class _Run:
    adapted: Any
    encoder: PromptEncoder
    parameters: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    config: RankerConfig
    state: RankerState
    options: RunOptions
    pace: _Pace = field(default_factory=_Pace)

    @property
    def model(self) -> Any:
        """The causal language model that contains the adapter's layers."""
        return self.adapted.get_base_model()

    def loop(self, examples: TrainingExamples, validation: ValidationSet) -> None:
        """Train until the last epoch ends, validation stops improving, or the time limit is reached."""
        config, state, options = self.config, self.state, self.options
        if state.finished:
            return
        available = min(len(examples), config.max_examples or len(examples))
        total = config.epochs * -(-available // config.batch_size)
        began = time.monotonic() - state.seconds
        if not state.validations:
            # Before the first step, as a reference. It is never selected: an untrained model ranks by the order of the
            # candidates, which gives it the retriever's NDCG without reading a title.
            self._validate(validation, 0, 0, 0.0)
            options.save_state(state)
        step, seen = state.validations[-1].step, state.validations[-1].examples
        out_of_time = step > 0 and self._out_of_time()
        losses: list[float] = []
        torch.manual_seed(options.workers.dropout_seed(dropout_seed(config.seed, step)))
        while not (state.finished or out_of_time):
            epoch, step_of_epoch = divmod(step, total // config.epochs)
            first = step_of_epoch * config.batch_size
            indices = range(first, min(first + config.batch_size, available))
            losses.append(self._step(examples.batch(indices, passed=epoch * available), step))
            if not math.isfinite(losses[-1]):
                raise LlamaRecError(
                    f"Training diverged: the loss is {losses[-1]} after step {step + 1}.",
                    "Lower learning_rate in the table [ranker] of a `config` file.",
                )
            step, seen = step + 1, seen + len(indices)
            state.seconds = time.monotonic() - began
            out_of_time = self._out_of_time()
            limit = options.max_minutes
            left = None if limit is None else max(0.0, 60 * limit - state.seconds)
            detail = f"loss {np.mean(losses[-25:]):.3f}, {self.pace}"
            options.report(Progress("train ranker", step, total, detail, seconds_left=left))
            if step % config.validate_every and step != total and not out_of_time:
                continue
            self._validate(validation, step, seen, float(np.mean(losses)))
            state.seconds = time.monotonic() - began
            state.finished = step == total or _stale(state.validations) >= config.patience
            options.save_state(state)
            losses.clear()
            torch.manual_seed(options.workers.dropout_seed(dropout_seed(config.seed, step)))
        options.report(Progress("train ranker", total, total))

    def _out_of_time(self) -> bool:
        # By the main process's clock: otherwise one process might stop while the others wait for its gradients.
        return self.options.workers.broadcast(self.state.is_over(self.options.max_minutes))

    def _step(self, batch: list[RankingExample], step: int) -> float:
        """Take optimiser step number `step`, from 0, and return the mean loss of the batch."""
        began = time.monotonic()
        self.adapted.train()
        learning_rate = self.config.learning_rate * min(1.0, (step + 1) / max(1, self.config.warmup_steps))
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = learning_rate
        self.optimiser.zero_grad(set_to_none=True)
        prompts = [encode_example(self.encoder, example) for example in self.options.workers.shard(batch)]
        lengths = [len(prompt.ids) for prompt in prompts]
        # On a CPU, batching prompts saves no time.
        on_cpu = self.model.device.type == "cpu"
        share_of_loss = 0.0
        for group in group_by_length(lengths, 1 if on_cpu else self.config.tokens_a_pass):
            some = [prompts[index] for index in group]
            share_of_loss += self._backward(some, len(batch))
        figures = torch.tensor([share_of_loss, sum(lengths)], dtype=torch.float64, device=self.model.device)
        self.options.workers.all_reduce([figures, *self._gradients()])
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self.config.gradient_clip)
        self.optimiser.step()
        loss, tokens = figures.tolist()
        self.pace.examples += len(batch)
        self.pace.tokens += int(tokens)
        self.pace.seconds += time.monotonic() - began
        self.options.log(step + 1, {"train/loss": loss, "train/learning_rate": learning_rate})
        return float(loss)

    def _backward(self, prompts: list[AnsweredPrompt], batch_size: int) -> float:
        letters_alone = self.config.loss == "letters"
        loss = answer_loss(self.model, self.encoder, prompts, letters_alone=letters_alone) / batch_size
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _gradients(self) -> list[Tensor]:
        """Return the gradient of every parameter; zeros if the shard of this process is empty."""
        for parameter in self.parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]

    def _validate(self, sample: ValidationSet, step: int, seen: int, loss: float) -> None:
        self.adapted.eval()
        validation: RankerValidation | None = None
        if self.options.workers.is_main:
            # The engine itself and not a scorer of the registry, whose interface lacks the letter mass. It is new each
            # time, because cached keys and values are those of older weights.
            engine = RankingEngine(self.model, self.encoder)
            validation = validate(engine, sample, step, seen, loss, self.config.seed, self.options.report)
        validation = self.options.workers.broadcast(validation)
        assert validation is not None
        state = self.state
        best = part(state.tensors, "best")
        state.validations.append(validation)
        if _stale(state.validations) == 0:
            best = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        state.tensors = take_snapshot(self.parameters, self.optimiser)
        state.tensors |= {f"best.{name}": value for name, value in best.items()}
        note = describe_validation(validation, sample)
        self.options.report(Progress("validate", len(sample.examples), len(sample.examples), note=note))
        self.options.log(
            step,
            {
                "validation/ndcg_at_10": validation.ndcg,
                "validation/ndcg_at_10_in_order": validation.ordered_ndcg,
                "validation/accuracy": validation.accuracy,
                "validation/letter_mass": validation.letter_mass,
            },
        )


def _stale(validations: list[RankerValidation]) -> int:
    """Return the number of validations since the best one, which cannot be the one before the first step."""
    figures = [validation.ndcg for validation in validations if validation.step > 0]
    return len(figures) - 1 - figures.index(max(figures)) if figures else 0
