"""Weights and optimiser as one flat dictionary of tensors, and back: what a training saves so that it can resume.

Flat tensors go into safetensors files; nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def take_snapshot(parameters: Mapping[str, Tensor], optimiser: Optimizer) -> dict[str, Tensor]:
    """Copy parameters (`model.NAME`) and AdamW's moments (`optimiser.NAME.KEY`)."""
    tensors = {f"model.{name}": parameter.detach().clone() for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        for key, value in optimiser.state[parameter].items():
            tensors[f"optimiser.{name}.{key}"] = value.detach().clone()
    return tensors


@torch.no_grad()
def restore_snapshot(tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor], optimiser: Optimizer) -> None:
    """Undo `take_snapshot`, in place."""
    for name, parameter in parameters.items():
        parameter.copy_(tensors[f"model.{name}"])
        # Before the first step AdamW has no moments, and so neither has the snapshot.
        saved = {key: tensors.get(f"optimiser.{name}.{key}") for key in _MOMENTS}
        optimiser.state[parameter] = {
            # A fused AdamW wants its step count where the parameter is; the plain one on the CPU.
            key: value.to(parameter.device if key != "step" or optimiser.defaults["fused"] else "cpu", copy=True)
            for key, value in saved.items()
            if value is not None
        }


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix.`, under the rest of their names."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
