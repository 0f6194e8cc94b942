"""What a finished file of lists was made with: kept in the home, so that `resume` does not take another's for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError


def remember_recipe(context: Context, output: Path, recipe: dict[str, Any]) -> None:
    """Write down what an output is made with, before it takes its place."""
    kept = _place(context, output)
    with context.store.scratch() as folder:
        written = folder / kept.name
        written.write_text(json.dumps(recipe, sort_keys=True), encoding="utf-8")
        kept.parent.mkdir(parents=True, exist_ok=True)
        written.replace(kept)


def check_recipe(context: Context, output: Path, recipe: dict[str, Any]) -> None:
    """Raise unless a finished output was made with this recipe.

    Raises:
        LlamaRecError: It was made of another input or in another way, or nothing tells how.
    """
    try:
        made = json.loads(_place(context, output).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        made = None
    asked = json.loads(json.dumps(recipe))
    if made == asked:
        return
    if not isinstance(made, dict):
        told = "and nothing tells what it was made with"
    elif made.get("input") != asked.get("input"):
        told = "made of another input"
    else:
        told = "made with another ranker or other options"
    raise LlamaRecError(f"{output} is there already, {told}.", "Give another --output, or --replace to overwrite it.")


def _place(context: Context, output: Path) -> Path:
    digest = hashlib.sha256(str(output.resolve()).encode(errors="surrogateescape")).hexdigest()
    return context.store.home / "lists" / f"{digest}.json"
