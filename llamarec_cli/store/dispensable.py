"""What `store prune` may remove: files that can be recreated and that this program certainly wrote.

A file name is no proof, since users may put files into the home. A training state must have the header that trainings
write, and a download must be one that the caller can fetch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from llamarec_cli.store.home import using_home
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import UNREADABLE, Store

# Key in the header of every saved training state; see `artefacts/training_state.py`.
RECIPE = "recipe"


def dispensable(store: Store, downloads: Iterable[Path]) -> dict[str, list[Path]]:
    """Return what can be recreated, by category: downloads, states of interrupted trainings, stale evaluations.

    Args:
        store: The store.
        downloads: Files in the downloads folder that this program can fetch, whether they exist or not.
    """
    with using_home(store.home):
        states = sorted(path for path in store.work.glob("*.safetensors*") if _is_state(path))
        fetched = sorted({path for path in downloads if path.is_file() and not path.is_symlink()})
    return {
        "download": fetched,
        "interrupted training": states,
        "evaluation of a removed ranker": _stale_evaluations(store),
    }


def _is_state(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    if path.name.endswith(UNREADABLE):
        return True
    try:
        with safe_open(path, framework="numpy") as opened:
            return path.suffix == ".safetensors" and RECIPE in (opened.metadata() or {})
    except SafetensorError:
        return False


def _stale_evaluations(store: Store) -> list[Path]:
    """Return the evaluations of which a parent was removed or replaced."""
    by_name = {artefact.manifest.name: artefact for artefact in store.artefacts()}
    return [
        artefact.path
        for artefact in by_name.values()
        if artefact.manifest.kind is Kind.EVALUATION
        and any(
            parent not in by_name or by_name[parent].manifest.digest != digest
            for parent, digest in artefact.manifest.parents.items()
        )
    ]
