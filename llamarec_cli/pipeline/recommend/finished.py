"""Recipes of finished outputs, kept in the home, so that `resume` does not mistake another run's output for its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.small_files import read_note

OVERWRITE_HINT = "Give another `output`, or `replace` to overwrite it."


def remember_recipe(context: Context, output: Path, recipe: dict[str, Any]) -> None:
    """Save the recipe of an output, before the output is moved into its place."""
    kept = _recipe_path(context, output)
    with context.store.scratch() as folder:
        written = folder / kept.name
        written.write_text(json.dumps(recipe, sort_keys=True), encoding="utf-8")
        kept.parent.mkdir(parents=True, exist_ok=True)
        written.replace(kept)


def check_recipe(context: Context, output: Path, recipe: dict[str, Any]) -> None:
    """Raise unless a finished output was made with this recipe.

    Raises:
        LlamaRecError: It was made from another input or with other options, or its recipe is unknown.
    """
    made = read_note(_recipe_path(context, output))
    if made is None:
        raise LlamaRecError(f"{output} exists, and nothing tells what it was made with.", OVERWRITE_HINT)
    if difference := recipe_difference(made, recipe):
        raise LlamaRecError(f"{output} exists, made with {difference}.", OVERWRITE_HINT)


def recipe_difference(made: dict[str, Any], asked: dict[str, Any]) -> str | None:
    """Return in words how a saved recipe differs from the one asked for; None if they agree.

    Args:
        made: The recipe as read from JSON.
        asked: The recipe of this run.
    """
    asked = json.loads(json.dumps(asked))
    if made == asked:
        return None
    return "another input" if made.get("input") != asked.get("input") else "another ranker or other options"


def _recipe_path(context: Context, output: Path) -> Path:
    digest = hashlib.sha256(str(output.resolve()).encode(errors="surrogateescape")).hexdigest()
    return context.store.home / "lists" / f"{digest}.json"
