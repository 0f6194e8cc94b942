"""Ensemble: a trained retriever's scores plus two item-to-item counts, co-occurrence and transition.

A neural retriever compresses what it saw into D numbers an item; plain counts remember rare pairs that it forgets. The
score of item v is

    s_v + a log(1 + c_v / m) + b log(1 + t_v / m)

with s_v the retriever's, c_v and t_v the weights of v as a neighbour of the most recent items, and m the mean of those
that are not zero. a and b are the best pair of a grid on the validation split; nothing else is fitted.

Shapes: B users, V items + padding, M most recent items.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llamarec_cli.data.splits import Sequences
from llamarec_cli.evaluation.metrics import ndcg_at
from llamarec_cli.progress import Progress
from llamarec_cli.retrieval.candidates import mask_history, ranks_of, user_chunks
from llamarec_cli.retrieval.neighbours import Neighbours, most_recent
from llamarec_cli.retrieval.scoring import FittedRetriever, Fitting, Retriever

# Weights that are tried for each of the two counts.
GRID = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5)


@dataclass(frozen=True)
class EnsembleConfig:
    """What is blended.

    Attributes:
        retriever: Row name of the trained retriever.
        neighbours: Neighbours kept of each item.
        window: Largest distance, in positions, of two items that are counted together.
        recent: Most recent items of a history whose neighbours count.
        decay: What each older one of them counts less, as a factor.
    """

    retriever: str = "lrurec"
    neighbours: int = 100
    window: int = 50
    recent: int = 20
    decay: float = 0.8

    def __post_init__(self) -> None:
        if min(self.neighbours, self.window, self.recent) < 1:
            raise ValueError("neighbours, window and recent must be at least 1")
        if not 0 < self.decay <= 1:
            raise ValueError("decay must be above 0 and at most 1")


class Ensemble(FittedRetriever):
    """The whole model.

    Args:
        item_count: Number of items, without the padding.
        config: What is blended.
        retriever: The trained retriever.
    """

    weights: Tensor

    def __init__(self, item_count: int, config: EnsembleConfig, retriever: Retriever) -> None:
        super().__init__()
        self.config = config
        self.retriever = retriever
        self.together = Neighbours(item_count, config.neighbours)
        self.following = Neighbours(item_count, config.neighbours)
        self.register_buffer("weights", torch.zeros(2))

    @classmethod
    def fit(cls, config: EnsembleConfig, fitting: Fitting) -> Self:
        """Count the neighbours in the training sequences, then choose both weights on the validation split."""
        model = cls(fitting.item_count, config, fitting.trained(config.retriever))
        model.together.count(fitting.sequences, window=config.window, directed=False)
        model.following.count(fitting.sequences, window=config.window, directed=True)
        model = model.to(fitting.device).eval()
        pairs = list(product(GRID, GRID))
        cases = fitting.validation
        ranks_PS = np.empty((len(pairs), len(cases)), dtype=np.int32)
        with torch.inference_mode():
            for users in user_chunks(len(cases)):
                own, *counted = model._parts(cases.histories, users)
                for place, pair in enumerate(pairs):
                    blended = own + sum(weight * part for weight, part in zip(pair, counted, strict=True) if weight)
                    mask_history(blended, cases.histories, users)
                    ranks_PS[place, users] = ranks_of(blended, cases.targets_S[users])
                fitting.report(Progress("fit ensemble", int(users[-1]) + 1, len(cases)))
        # The first of equals is the one with the smallest weights.
        best = max(range(len(pairs)), key=lambda place: ndcg_at(ranks_PS[place], 10))
        model.weights.copy_(torch.tensor(pairs[best]))
        return model

    def score(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> Tensor:
        """Score every item by the blend."""
        own, together, following = self._parts(histories, users_B)
        return own + self.weights[0] * together + self.weights[1] * following

    def _parts(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three summands before they are weighted, each B x V."""
        recent = torch.from_numpy(most_recent(histories, users_B, self.config.recent)).to(self.weights.device)
        importance_M = self.config.decay ** torch.arange(self.config.recent, device=recent.device)
        importance_BM = importance_M * (recent > 0)
        counted = [_compressed(table.score(recent, importance_BM)) for table in (self.together, self.following)]
        return self.retriever.score(histories, users_B), counted[0], counted[1]


def _compressed(counts_BV: Tensor) -> Tensor:
    """Return log(1 + count / mean of the user's counts above 0)."""
    means_B1 = counts_BV.sum(1, keepdim=True) / (counts_BV > 0).sum(1, keepdim=True).clamp(min=1)
    return torch.log1p(counts_BV / means_B1.clamp(min=torch.finfo(counts_BV.dtype).tiny))
