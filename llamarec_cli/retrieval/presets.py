"""Default configurations of each retriever for each data set.

`paper` is the paper's recipe: at most 200 items of history on ml-100k and 50 elsewhere, the batch sizes of its code
(section 4.0.4), and the defaults of the configuration classes. The paper does not report the weight decay and dropout
that its grid search selected.

`tuned` is the best found so far on validation: strong dropout, and a moving average of the weights. It also stops
earlier, to save time. A retriever whose row has no tuned values takes the defaults of its configuration class.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Any

from llamarec_cli.retrieval.registry import RetrieverRow
from llamarec_cli.retrieval.training_config import TrainingConfig

# The paper's grid.
SEARCHED_WEIGHT_DECAY = (0.0, 0.01)
SEARCHED_DROPOUT = (0.1, 0.2, 0.3, 0.4, 0.5)

_MAX_LENGTH = {"ml-100k": 200, "ml-100k-1998": 200}
_BATCH_SIZE = {"ml-100k": 16, "ml-100k-1998": 16}
# Of every retriever; the row's own values go over these.
_TUNED_TRAINING: dict[str, Any] = {"averaging": 0.999, "patience": 6}


class Preset(StrEnum):
    """Name of a recipe."""

    TUNED = "tuned"
    PAPER = "paper"


def architecture_preset(dataset: str, row: RetrieverRow, preset: Preset = Preset.TUNED) -> Any:
    """Return the configuration of a retriever's architecture for a data set."""
    values: dict[str, Any] = {}
    if row.is_neural and dataset in _MAX_LENGTH:
        values["max_length"] = _MAX_LENGTH[dataset]
    if preset is Preset.TUNED:
        values |= row.tuned.model
    return replace(row.config(), **values)


def training_preset(dataset: str, row: RetrieverRow, preset: Preset = Preset.TUNED) -> TrainingConfig:
    """Return the configuration of a retriever's training for a data set."""
    config = TrainingConfig()
    config = replace(config, batch_size=_BATCH_SIZE.get(dataset, config.batch_size))
    if preset is Preset.TUNED:
        batch_size = config.batch_size * row.tuned.batch_scale
        config = replace(config, **{**_TUNED_TRAINING, "batch_size": batch_size, **row.tuned.training})
    return config
