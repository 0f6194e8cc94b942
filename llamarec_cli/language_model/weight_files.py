"""What files of weights hold, by their headers alone: whether each is whole, and whether a configuration fits them.

A library makes room for what a configuration tells before it looks at the weights; one number too large in a file of
others would take all memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llamarec_cli.errors import LlamaRecError

# As the format says.
_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100_000_000
# A byte may hold several weights, and what a configuration tells may be in another file or tied; no more than this.
_SLACK = 16
_SMALL = 10_000_000
# Numbers of a configuration that are sides of weights, and those of layers, by the names that architectures give them.
_SIDES = ("vocab_size", "hidden_size", "n_embd", "d_model", "intermediate_size", "n_inner", "ffn_dim", "d_ff")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Return the shapes of the tensors of a safetensors file, by name.

    Raises:
        LlamaRecError: The file is of another format, or cut off.
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
            f"{path.name} in {path.parent} is cut off, damaged or no safetensors file.", "Copy it again, as a whole."
        )
    return shapes


def check_size(files: Sequence[Path], config: Mapping[str, Any], folder: Path) -> None:
    """Raise if a configuration tells of far more weights than there are.

    Args:
        files: The files of the weights.
        config: What config.json holds.
        folder: Where they lie, for the sentence.

    Raises:
        LlamaRecError: It does, or a file is no safetensors or cut off.
    """
    shapes = [shape for path in files for shape in tensor_shapes(path).values()]
    weights = sum(math.prod(shape) for shape in shapes)
    sides = sorted(value for name in _SIDES if isinstance(value := config.get(name), int))
    layers = max((value for name in _LAYERS if isinstance(value := config.get(name), int)), default=0)
    if math.prod(sides[-2:]) > _SLACK * weights + _SMALL or layers > len(shapes):
        raise LlamaRecError(
            f"The configuration in {folder} tells of far more weights than its files hold.",
            "Copy it again, as a whole, or choose another base model with --base.",
        )
