"""Popularity: the same list for every user, the most frequent items of the training sequences. The weakest baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llamarec_cli.data.splits import Sequences
from llamarec_cli.retrieval.scoring import FittedRetriever, Fitting


@dataclass(frozen=True)
class PopularityConfig:
    """No settings."""


class Popularity(FittedRetriever):
    """The whole model.

    Args:
        item_count: Number of items, without the padding.
        config: Has no fields.
    """

    counts_V: Tensor

    def __init__(self, item_count: int, config: PopularityConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("counts_V", torch.zeros(item_count + 1))

    @classmethod
    def fit(cls, config: PopularityConfig, fitting: Fitting) -> Self:
        """Count the occurrences of each item in the training sequences."""
        model = cls(fitting.item_count, config)
        counts = np.bincount(fitting.sequences.items_N, minlength=fitting.item_count + 1)
        model.counts_V.copy_(torch.from_numpy(counts))
        return model

    def score(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> Tensor:
        """Return the count of every item, the same for all users."""
        return self.counts_V.repeat(len(users_B), 1)
