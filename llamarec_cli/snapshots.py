"""Snapshots of a training run, so that a resumed run ends exactly like an uninterrupted one.

Weights and optimiser state become one flat dictionary of tensors, for safetensors files; nothing is pickled. No
generator state is saved: the order of examples follows from the seed, and dropout is reseeded from (seed, step) at each
validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

Validation = TypeVar("Validation")


@dataclass
class TrainingState(Generic[Validation]):
    """Everything that is needed to resume a training run.

    Attributes:
        tensors: Current weights (`model.*`), weights of the best validation (`best.*`), AdamW's state (`optimiser.*`).
        validations: All validations so far.
        seconds: Training time so far.
        finished: Whether training is complete, whatever time is left.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    validations: list[Validation] = field(default_factory=list)
    seconds: float = 0.0
    finished: bool = False

    def numbers(self) -> dict[str, Any]:
        """Return everything but the tensors, ready for JSON."""
        return {
            "validations": [asdict(validation) for validation in self.validations],  # type: ignore[call-overload]
            "seconds": self.seconds,
            "finished": self.finished,
        }

    @classmethod
    def restore(
        cls, validation: type[Validation], tensors: dict[str, Tensor], numbers: dict[str, Any]
    ) -> TrainingState[Validation]:
        """Rebuild a state from its saved parts.

        Args:
            validation: Dataclass of one validation.
            tensors: The saved tensors.
            numbers: Return value of `numbers`.
        """
        validations = [validation(**values) for values in numbers["validations"]]
        return cls(tensors, validations, numbers["seconds"], numbers["finished"])

    def is_over(self, max_minutes: float | None) -> bool:
        """Return whether a time limit is used up; None is no limit."""
        return max_minutes is not None and self.seconds >= 60 * max_minutes


def dropout_seed(seed: int, step: int) -> int:
    """Return the generator's seed for the steps from `step` to the next validation."""
    return seed * 1_000_003 + step


# Optimiser state of torch's AdamW: step count, first and second moment of the gradient.
_ADAMW_STATE = ("step", "exp_avg", "exp_avg_sq")
# Names of the same in bitsandbytes' 32-bit AdamW.
_BITSANDBYTES = {"step": "step", "exp_avg": "state1", "exp_avg_sq": "state2"}


def take_snapshot(parameters: Mapping[str, Tensor], optimiser: Optimizer) -> dict[str, Tensor]:
    """Copy parameters (`model.NAME`) and the state of torch's or bitsandbytes' AdamW (`optimiser.NAME.KEY`)."""
    tensors = {f"model.{name}": parameter.detach().clone() for name, parameter in parameters.items()}
    names = _BITSANDBYTES if _is_bitsandbytes(optimiser) else {key: key for key in _ADAMW_STATE}
    for name, parameter in parameters.items():
        state = optimiser.state[parameter]
        for key in _ADAMW_STATE:
            # Empty before the first step.
            if names[key] in state:
                tensors[f"optimiser.{name}.{key}"] = torch.as_tensor(state[names[key]]).detach().clone()
    return tensors


@torch.no_grad()
def restore_snapshot(tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor], optimiser: Optimizer) -> None:
    """Restore parameters and optimiser state in place from a snapshot."""
    for name, parameter in parameters.items():
        parameter.copy_(tensors[f"model.{name}"])
        keys = {key: f"optimiser.{name}.{key}" for key in _ADAMW_STATE}
        saved = {key: tensors[stored] for key, stored in keys.items() if stored in tensors}
        if not saved:
            optimiser.state[parameter] = {}
        elif _is_bitsandbytes(optimiser):
            _restore_bitsandbytes(saved, parameter, optimiser)
        else:
            optimiser.state[parameter] = {
                # A fused AdamW keeps its step count on the parameter's device; the default one on the CPU.
                key: value.to(parameter.device if key != "step" or optimiser.defaults["fused"] else "cpu", copy=True)
                for key, value in saved.items()
            }


def _is_bitsandbytes(optimiser: Optimizer) -> bool:
    return type(optimiser).__module__.startswith("bitsandbytes")


def _restore_bitsandbytes(saved: Mapping[str, Tensor], parameter: Tensor, optimiser: Any) -> None:
    """Copy the state into buffers allocated by bitsandbytes, which may be paged memory that GPU and CPU share."""
    for number, group in enumerate(optimiser.param_groups):
        for place, one in enumerate(group["params"]):
            if one is parameter:
                optimiser.init_state(group, parameter, number, place)
    if parameter.is_cuda:
        # The GPU zeroes paged memory asynchronously; wait before the CPU writes to it.
        torch.cuda.synchronize()
    state = optimiser.state[parameter]
    state["step"] = int(saved["step"])
    for key in ("exp_avg", "exp_avg_sq"):
        state[_BITSANDBYTES[key]].copy_(saved[key])


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix.`, under the rest of their names."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
