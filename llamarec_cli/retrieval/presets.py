"""Configurations found for each data set, as data. A data set that is not here takes the classes' defaults.

The paper reads at most 200 items on ml-100k and 50 elsewhere (section 4.0.4), and searches weight decay {0, 0.01} and
dropout {0.1 ... 0.5}; batch sizes are those of its code.
"""

from __future__ import annotations

from llamarec_cli.retrieval.lrurec import LRURecConfig
from llamarec_cli.retrieval.training import TrainingConfig

LRUREC_PRESETS: dict[str, LRURecConfig] = {
    "ml-100k": LRURecConfig(dropout=0.3, max_length=200),
    "ml-100k-1998": LRURecConfig(dropout=0.3, max_length=200),
    "beauty": LRURecConfig(dropout=0.5),
    "games": LRURecConfig(dropout=0.5),
}

TRAINING_PRESETS: dict[str, TrainingConfig] = {
    "ml-100k": TrainingConfig(batch_size=16),
    "ml-100k-1998": TrainingConfig(batch_size=16),
}
