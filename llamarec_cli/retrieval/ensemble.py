"""Ensemble: a trained retriever's scores plus two item-to-item counts, co-occurrence and transition.

A neural retriever compresses what it saw into D numbers an item; plain counts remember rare pairs that it forgets. The
score of item v is

    s_v + a log(1 + c_v / m) + b log(1 + t_v / m)

with s_v the retriever's and the logarithms those of `neighbours`. a and b are the best pair of a grid on the validation
split; nothing else is fitted.

Shapes: B users, V items + padding.
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
from llamarec_cli.retrieval.neighbours import CountsConfig, ItemCounts
from llamarec_cli.retrieval.scoring import FittedRetriever, Fitting, Retriever

# Weights that are tried for each of the two counts.
GRID = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5)


@dataclass(frozen=True)
class EnsembleConfig(CountsConfig):
    """What is blended, beside how pairs are counted.

    Attributes:
        retriever: Row name of the trained retriever.
    """

    retriever: str = "lrurec"


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
        self.counts = ItemCounts(item_count, config)
        self.register_buffer("weights", torch.zeros(2))

    @classmethod
    def fit(cls, config: EnsembleConfig, fitting: Fitting) -> Self:
        """Count the neighbours in the training sequences, then choose both weights on the validation split."""
        model = cls(fitting.item_count, config, fitting.trained(config.retriever))
        model.counts.count(fitting.sequences)
        model = model.to(fitting.device).eval()
        pairs = list(product(GRID, GRID))
        cases = fitting.validation
        ranks_PS = np.empty((len(pairs), len(cases)), dtype=np.int32)
        with torch.inference_mode():
            for users in user_chunks(len(cases)):
                own = model.retriever.score(cases.histories, users)
                counted = model.counts.score(cases.histories, users)
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
        together, following = self.counts.score(histories, users_B)
        return self.retriever.score(histories, users_B) + self.weights[0] * together + self.weights[1] * following
