"""Loading a base model for ranking: in a given precision, with its adapter merged, optimised for the device.

Training loads its models with `base_models` alone, since these optimisations carry no gradients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from llamarec_cli.language_model.adapters import merge_adapter
from llamarec_cli.language_model.base_models import compute_dtype, load_base_model
from llamarec_cli.language_model.packed_linear import pack_linears
from llamarec_cli.names import Precision, Quantization

_DTYPES = {
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
    Precision.FP32: torch.float32,
    Precision.NF4: torch.bfloat16,
}


def load_for_ranking(
    folder: Path, device: torch.device, precision: Precision | None = None, adapter: Path | None = None
) -> Any:
    """Load a base model for ranking.

    Args:
        folder: A base model folder.
        device: Device of the weights.
        precision: Data type; by default the best that the device supports.
        adapter: Folder of a LoRA adapter to merge into the model.

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
    """Return the data type that a model of that precision computes in; None for the device's default."""
    return compute_dtype(device) if precision is None else _DTYPES[precision]
