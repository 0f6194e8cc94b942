"""What both trainings show of their result."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamarec_cli.store.registry import Artefact


def heading(artefact: Artefact) -> str:
    """Return what was made, how much of it was trained, on what and with which seed."""
    metrics = artefact.manifest.metrics
    config = artefact.manifest.config
    made = [f"{metrics[unit]:,} {unit}" for unit in ("steps", "examples") if unit in metrics]
    made.append(f"{metrics['minutes']} minutes on {metrics['device']}")
    made += [f"seed {config[table]['seed']}" for table in ("training", "ranker") if table in config]
    return f"{artefact.manifest.name}: {', '.join(made)}"
