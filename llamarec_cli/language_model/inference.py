"""A base model as it ranks: in the precision asked for, its adapter merged, made fast for the device.

Training loads its models by `base_models` alone, since what makes ranking fast carries no gradients.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from llamarec_cli.errors import UnknownNameError
from llamarec_cli.language_model.adapters import merge_adapter
from llamarec_cli.language_model.base_models import Quantization, compute_dtype, load_base_model
from llamarec_cli.language_model.packed_linear import pack_linears


class Precision(StrEnum):
    """What a base model computes in when it ranks; NF4 holds the weights in 4 bits and computes in bfloat16."""

    BF16 = "bf16"
    FP16 = "fp16"
    FP32 = "fp32"
    NF4 = "nf4"


_DTYPES = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16, Precision.FP32: torch.float32}


def load_for_ranking(
    folder: Path, device: torch.device, precision: Precision | None = None, adapter: Path | None = None
) -> Any:
    """Load a base model that is to rank.

    Args:
        folder: A base model folder.
        device: Where it goes.
        precision: What it computes in; by default what the device is best at.
        adapter: Folder of a LoRA adapter that is merged into it.

    Returns:
        A transformers causal language model in evaluation mode, without gradients.
    """
    if precision is Precision.NF4:
        model = load_base_model(folder, device, Quantization.NF4)
    else:
        model = load_base_model(folder, device, dtype=precision_dtype(precision, device))
    if adapter is not None:
        model = merge_adapter(model, adapter)
    pack_linears(model)
    return model


def precision_dtype(precision: Precision | None, device: torch.device) -> torch.dtype:
    """Return what a model of that precision computes in."""
    return compute_dtype(device) if precision is None else _DTYPES.get(precision, torch.bfloat16)


def parse_precision(name: str | None) -> Precision | None:
    """Return the precision of that name; None stays None, the device's own.

    Raises:
        UnknownNameError: No such name.
    """
    if name is None or name in list(Precision):
        return None if name is None else Precision(name)
    raise UnknownNameError(name, "precision", Precision)
