"""Output that `train retriever` and `train ranker` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamarec_cli.store.registry import Artefact


def heading(artefact: Artefact) -> str:
    """Return a line with name, amount of training, time, device and seed of a checkpoint."""
    metrics = artefact.manifest.metrics
    config = artefact.manifest.config
    made = [f"{metrics[unit]:,} {unit}" for unit in ("steps", "examples") if unit in metrics]
    made.append(f"{metrics['minutes']} minutes on {metrics['device']}")
    made += [f"seed {config[table]['seed']}" for table in ("training", "ranker") if table in config]
    return f"{artefact.manifest.name}: {', '.join(made)}"
