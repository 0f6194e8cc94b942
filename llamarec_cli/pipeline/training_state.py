"""The state of a training between its validations, on disk, so that an interrupted run can go on."""

from __future__ import annotations

import json
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from llamarec_cli.pipeline.context import Context


class TrainingStates:
    """One file: tensors, and beside them, in its header, the numbers and what the run was made from.

    Args:
        context: Surroundings.
        name: Name of the checkpoint in the making.
        recipe: Configuration and parents; a state that was made from others is not taken up.
    """

    def __init__(self, context: Context, name: str, recipe: dict[str, Any]) -> None:
        self._context = context
        self._name = name
        self._recipe = json.dumps(recipe, sort_keys=True)
        self._path = context.store.training_state(name)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return tensors and numbers of an interrupted run with the same recipe, or None."""
        if not self._path.is_file():
            return None
        try:
            with safe_open(self._path, framework="pt") as opened:
                header = opened.metadata()
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except SafetensorError:
            self._context.warn(f"The saved state of {self._name} is damaged, so training starts anew.")
            return None
        if header["recipe"] != self._recipe:
            self._context.warn(
                f"An interrupted training of {self._name} had another configuration, so this one starts anew."
            )
            return None
        self._context.say(f"Going on with the interrupted training of {self._name}.")
        return tensors, json.loads(header["numbers"])

    def save(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Save a state in place of the last one, which stays until the new one is whole."""
        store = self._context.store
        with store.scratch() as folder:
            contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
            metadata = {"recipe": self._recipe, "numbers": json.dumps(numbers)}
            save_file(contiguous, folder / self._path.name, metadata=metadata)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            (folder / self._path.name).replace(self._path)

    def clear(self) -> None:
        """Forget the state, once the checkpoint is in the store."""
        self._path.unlink(missing_ok=True)
