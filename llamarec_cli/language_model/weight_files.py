"""Checks of safetensors files by their headers: that a file is complete, and that a configuration fits its weights.

Libraries allocate memory for what a configuration describes before they read any weights, so that one wrong number in
someone else's configuration could exhaust it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llamarec_cli.errors import LlamaRecError

# Of the safetensors format.
_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100_000_000
# Tolerance: a byte may hold several weights, and tied weights are stored once.
_FACTOR = 16
# Too few weights to matter, whatever the files contain.
_SMALL = 10_000_000
# Settings that are dimensions of weights, and numbers of layers, under the names that architectures use.
_DIMENSIONS = ("vocab_size", "hidden_size", "n_embd", "d_model", "intermediate_size", "n_inner", "ffn_dim", "d_ff")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Return the shape of each tensor in a safetensors file.

    Raises:
        LlamaRecError: The file is truncated, damaged or of another format.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as opened:
            length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
            if length > min(size - _LENGTH_BYTES, _MOST_HEADER_BYTES):
                raise ValueError("no header")
            header = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        shapes = {name: [int(side) for side in tensor["shape"]] for name, tensor in header.items()}
        end = max((int(tensor["data_offsets"][1]) for tensor in header.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        end, shapes = -1, {}
    if _LENGTH_BYTES + length + end != size or any(side < 0 for shape in shapes.values() for side in shape):
        raise LlamaRecError(
            f"{path.name} in {path.parent} is truncated, damaged or not a safetensors file.", "Copy the file again."
        )
    return shapes


def check_config_fits_weights(files: Sequence[Path], config: Mapping[str, Any], folder: Path) -> None:
    """Raise if a configuration describes far more weights than there are.

    Args:
        files: Safetensors files of the model.
        config: Content of config.json.
        folder: Folder of the model, for the message.

    Raises:
        LlamaRecError: The configuration does not fit, or a file is truncated or of another format.
    """
    shapes = [shape for path in files for shape in tensor_shapes(path).values()]
    weights = sum(math.prod(shape) for shape in shapes)
    dimensions = sorted(value for name in _DIMENSIONS if isinstance(value := config.get(name), int))
    layers = max((value for name in _LAYERS if isinstance(value := config.get(name), int)), default=0)
    if math.prod(dimensions[-2:]) > _FACTOR * weights + _SMALL or layers > len(shapes):
        raise LlamaRecError(
            f"The configuration in {folder} describes far more weights than its files contain.",
            "Copy the folder again, or choose another base model with `base`.",
        )
