"""What a training saves between its validations, so that an interrupted run ends like an uninterrupted one.

Weights and optimiser become one flat dictionary of tensors, for safetensors files; nothing is pickled. No generator is
saved: the order of examples follows from the seed, and dropout is seeded anew from (seed, step) at each validation.
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
    """Everything that a run needs to go on.

    Attributes:
        tensors: Weights now (`model.*`), at the best validation (`best.*`), and AdamW's moments (`optimiser.*`).
        validations: All validations so far.
        seconds: Time spent so far.
        finished: Whether nothing is left to do, however much time there is.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    validations: list[Validation] = field(default_factory=list)
    seconds: float = 0.0
    finished: bool = False

    def numbers(self) -> dict[str, Any]:
        """Return what is no tensor, as JSON would take it."""
        return {
            "validations": [asdict(validation) for validation in self.validations],  # type: ignore[call-overload]
            "seconds": self.seconds,
            "finished": self.finished,
        }

    @classmethod
    def restore(
        cls, validation: type[Validation], tensors: dict[str, Tensor], numbers: dict[str, Any]
    ) -> TrainingState[Validation]:
        """Undo `numbers`.

        Args:
            validation: The dataclass of one validation.
            tensors: As they were.
            numbers: What `numbers` returned.
        """
        validations = [validation(**values) for values in numbers["validations"]]
        return cls(tensors, validations, numbers["seconds"], numbers["finished"])

    def is_over(self, max_minutes: float | None) -> bool:
        """Tell whether a limit of time is used up; None is no limit."""
        return max_minutes is not None and self.seconds >= 60 * max_minutes


def dropout_seed(seed: int, step: int) -> int:
    """Return the seed of the generator from one validation to the next."""
    return seed * 1_000_003 + step


_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
# What bitsandbytes calls them in its AdamW with 32 bits.
_BITSANDBYTES = {"step": "step", "exp_avg": "state1", "exp_avg_sq": "state2"}


def take_snapshot(parameters: Mapping[str, Tensor], optimiser: Optimizer) -> dict[str, Tensor]:
    """Copy parameters (`model.NAME`) and AdamW's moments (`optimiser.NAME.KEY`), whoever's AdamW it is."""
    tensors = {f"model.{name}": parameter.detach().clone() for name, parameter in parameters.items()}
    theirs = _BITSANDBYTES if _is_bitsandbytes(optimiser) else {key: key for key in _MOMENTS}
    for name, parameter in parameters.items():
        state = optimiser.state[parameter]
        for key in _MOMENTS:
            # Before the first step there are none.
            if theirs[key] in state:
                tensors[f"optimiser.{name}.{key}"] = torch.as_tensor(state[theirs[key]]).detach().clone()
    return tensors


@torch.no_grad()
def restore_snapshot(tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor], optimiser: Optimizer) -> None:
    """Undo `take_snapshot`, in place."""
    for name, parameter in parameters.items():
        parameter.copy_(tensors[f"model.{name}"])
        keys = {key: f"optimiser.{name}.{key}" for key in _MOMENTS}
        saved = {key: tensors[stored] for key, stored in keys.items() if stored in tensors}
        if not saved:
            optimiser.state[parameter] = {}
        elif _is_bitsandbytes(optimiser):
            _restore_bitsandbytes(saved, parameter, optimiser)
        else:
            optimiser.state[parameter] = {
                # A fused AdamW wants its step count where the parameter is; the plain one on the CPU.
                key: value.to(parameter.device if key != "step" or optimiser.defaults["fused"] else "cpu", copy=True)
                for key, value in saved.items()
            }


def _is_bitsandbytes(optimiser: Optimizer) -> bool:
    return type(optimiser).__module__.startswith("bitsandbytes")


def _restore_bitsandbytes(saved: Mapping[str, Tensor], parameter: Tensor, optimiser: Any) -> None:
    """Fill the moments where bitsandbytes itself puts them, which may be memory that the GPU and the CPU share."""
    for number, group in enumerate(optimiser.param_groups):
        for place, one in enumerate(group["params"]):
            if one is parameter:
                optimiser.init_state(group, parameter, number, place)
    if parameter.is_cuda:
        # Shared memory is filled with zeros by the GPU, in its own time, and by us from the CPU.
        torch.cuda.synchronize()
    state = optimiser.state[parameter]
    state["step"] = int(saved["step"])
    for key in ("exp_avg", "exp_avg_sq"):
        state[_BITSANDBYTES[key]].copy_(saved[key])


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix.`, under the rest of their names."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
