"""Configurations for each data set and retriever, as data. What is not here takes the classes' defaults.

`paper` is the paper's recipe: at most 200 items on ml-100k and 50 elsewhere, the batch sizes of its code (section
4.0.4), and the classes' defaults. It does not tell which weight decay and dropout of its grid it ended with.

`tuned` is the best found so far, on validation: strong dropout and a moving average of the weights. To save time it
also stops sooner.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Any

from llamarec_cli.retrieval.models import RetrieverRow
from llamarec_cli.retrieval.training import TrainingConfig

# The paper's grid.
SEARCHED_WEIGHT_DECAY = (0.0, 0.01)
SEARCHED_DROPOUT = (0.1, 0.2, 0.3, 0.4, 0.5)

_MAX_LENGTH = {"ml-100k": 200, "ml-100k-1998": 200}
_BATCH_SIZE = {"ml-100k": 16, "ml-100k-1998": 16}

_TUNED_DROPOUT = {"lrurec": 0.5, "sasrec": 0.5, "bert4rec": 0.3, "narm": 0.5, "textrec": 0.3}
_TUNED_TRAINING: dict[str, Any] = {"averaging": 0.999, "patience": 6}
_TUNED_TRAINING_OF: dict[str, dict[str, Any]] = {
    "textrec": {"learning_rate": 3e-3, "validate_every": 250, "patience": 4}
}
# The map from titles to item vectors costs the same for any batch, so TextRec takes larger ones.
_TUNED_BATCHES = {"textrec": 2}


# Training time of a retriever that is made on the way to a blend; by then those found here had all but converged.
MEMBER_MINUTES = {"lrurec": 15, "sasrec": 20, "bert4rec": 30, "narm": 30, "textrec": 35}


class Preset(StrEnum):
    """Which recipe."""

    TUNED = "tuned"
    PAPER = "paper"


def architecture_preset(dataset: str, row: RetrieverRow, preset: Preset = Preset.TUNED) -> Any:
    """Return the configuration of a retriever's architecture for a data set."""
    found: dict[str, Any] = {}
    if row.is_neural and dataset in _MAX_LENGTH:
        found["max_length"] = _MAX_LENGTH[dataset]
    if row.is_neural and preset is Preset.TUNED:
        found["dropout"] = _TUNED_DROPOUT[row.name]
    return replace(row.config(), **found)


def training_preset(dataset: str, row: RetrieverRow, preset: Preset = Preset.TUNED) -> TrainingConfig:
    """Return the configuration of a retriever's training for a data set."""
    config = TrainingConfig()
    config = replace(config, batch_size=_BATCH_SIZE.get(dataset, config.batch_size))
    if preset is Preset.TUNED:
        batch_size = config.batch_size * _TUNED_BATCHES.get(row.name, 1)
        tuned = {**_TUNED_TRAINING, "batch_size": batch_size, **_TUNED_TRAINING_OF.get(row.name, {})}
        config = replace(config, **tuned)
    return config
