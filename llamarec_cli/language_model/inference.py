"""A base model as it ranks: in the precision asked for, its adapter merged, made fast for the device.

Training loads its models by `base_models` alone, since what makes ranking fast carries no gradients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from llamarec_cli.language_model.adapters import merge_adapter
from llamarec_cli.language_model.base_models import compute_dtype, load_base_model
from llamarec_cli.language_model.packed_linear import pack_linears
from llamarec_cli.names import Precision, Quantization

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
