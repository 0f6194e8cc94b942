"""Saved state of an interrupted run on disk, from which it resumes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from llamarec_cli.artefacts.context import Context
from llamarec_cli.store.dispensable import RECIPE
from llamarec_cli.store.registry import UNREADABLE


class TrainingStates:
    """Saved state of one run: a safetensors file whose header holds JSON, the recipe and a checksum.

    Args:
        context: Store and reporting callbacks.
        name: Name of the run, usually that of the checkpoint.
        recipe: Configuration and digests of parents; a run resumes only from a state with the same recipe.
    """

    def __init__(self, context: Context, name: str, recipe: dict[str, Any]) -> None:
        self._context = context
        self._name = name
        self._recipe = json.dumps(recipe, sort_keys=True)
        self._path = context.store.training_state(name)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return tensors and JSON of an interrupted run with the same recipe, or None.

        A damaged file is renamed and reported, not removed, since it may hold the work of a day.
        """
        if not self._path.is_file():
            return None
        try:
            with safe_open(self._path, framework="pt") as opened:
                header = opened.metadata() or {}
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            recipe, numbers = header[RECIPE], json.loads(header["numbers"])
            if header["content"] != _digest(tensors, header["numbers"]):
                raise ValueError("it is not as it was saved")
        except (SafetensorError, LookupError, TypeError, ValueError, RecursionError):
            aside = self._path.with_name(self._path.name + UNREADABLE)
            self._path.replace(aside)
            self._context.warn(
                f"The saved state of {self._name} is damaged, so training starts anew; it was set aside as {aside}."
            )
            return None
        if recipe != self._recipe:
            self._context.warn(
                f"An interrupted training of {self._name} had another configuration, so this one starts anew."
            )
            return None
        self._context.say(f"Going on with the interrupted training of {self._name}.")
        return tensors, numbers

    def save(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Replace the saved state atomically."""
        store = self._context.store
        with store.scratch() as folder:
            contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
            text = json.dumps(numbers)
            metadata = {RECIPE: self._recipe, "numbers": text, "content": _digest(contiguous, text)}
            save_file(contiguous, folder / self._path.name, metadata=metadata)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            (folder / self._path.name).replace(self._path)

    def clear(self) -> None:
        """Delete the saved state, once the checkpoint is in the store."""
        self._path.unlink(missing_ok=True)


def _digest(tensors: dict[str, Tensor], numbers: str) -> str:
    """Return the checksum of a state's tensors and JSON."""
    digest = hashlib.sha256(numbers.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
