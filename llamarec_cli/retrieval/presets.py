"""Configurations for each data set and retriever, as data. What is not here takes the classes' defaults.

Lengths and batch sizes are the paper's; the dropout rates are first guesses within its grid and have not been searched.

The paper reads at most 200 items on ml-100k and 50 elsewhere (section 4.0.4), and searches weight decay {0, 0.01} and
dropout {0.1 ... 0.5}; batch sizes are those of its code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llamarec_cli.retrieval.models import RetrieverRow
from llamarec_cli.retrieval.training import TrainingConfig

# The paper's grid.
SEARCHED_WEIGHT_DECAY = (0.0, 0.01)
SEARCHED_DROPOUT = (0.1, 0.2, 0.3, 0.4, 0.5)

_MAX_LENGTH = {"ml-100k": 200, "ml-100k-1998": 200}
_BATCH_SIZE = {"ml-100k": 16, "ml-100k-1998": 16}

# (data set, retriever) -> fields of the architecture that differ from its defaults.
_ARCHITECTURE: dict[tuple[str, str], dict[str, Any]] = {
    ("ml-100k", "lrurec"): {"dropout": 0.3},
    ("ml-100k-1998", "lrurec"): {"dropout": 0.3},
    ("beauty", "lrurec"): {"dropout": 0.5},
    ("games", "lrurec"): {"dropout": 0.5},
}

# (data set, retriever) -> fields of the training that differ from its defaults.
_TRAINING: dict[tuple[str, str], dict[str, Any]] = {}


def architecture_preset(dataset: str, row: RetrieverRow) -> Any:
    """Return the configuration of a retriever's architecture for a data set."""
    defaults = row.config()
    length = {"max_length": _MAX_LENGTH[dataset]} if row.is_neural and dataset in _MAX_LENGTH else {}
    return replace(defaults, **length, **_ARCHITECTURE.get((dataset, row.name), {}))


def training_preset(dataset: str, row: RetrieverRow) -> TrainingConfig:
    """Return the configuration of a retriever's training for a data set."""
    defaults = TrainingConfig()
    found = {"batch_size": _BATCH_SIZE.get(dataset, defaults.batch_size), **_TRAINING.get((dataset, row.name), {})}
    return replace(defaults, **found)
