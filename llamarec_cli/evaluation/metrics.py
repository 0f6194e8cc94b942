"""Recall, MRR and NDCG at k from one integer array: the 1-based rank of each user's true item (paper, section 4.0.3).

There is one true item a user, so Recall@k is the hit rate and the ideal DCG is 1. An item that was missed has a rank
beyond every k. Ties are the ranker's business: whoever makes the ranks puts the true item behind its equals.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.integer]

CUTOFFS = (5, 10)


def recall_at(ranks_S: Ranks, k: int) -> float:
    """Return the share of users whose true item is among the first k; 0 for no users."""
    return _mean(ranks_S <= k)


def mrr_at(ranks_S: Ranks, k: int) -> float:
    """Return the mean of 1 / rank, 0 beyond k; 0 for no users."""
    return _mean(np.where(ranks_S <= k, 1.0 / ranks_S, 0.0))


def ndcg_at(ranks_S: Ranks, k: int) -> float:
    """Return the mean of 1 / log2(rank + 1), 0 beyond k; 0 for no users."""
    return _mean(ndcg_per_user(ranks_S, k))


def ndcg_per_user(ranks_S: Ranks, k: int) -> npt.NDArray[np.float64]:
    """Return 1 / log2(rank + 1) for each user, 0 beyond k."""
    gains: npt.NDArray[np.float64] = np.where(ranks_S <= k, 1.0 / np.log2(ranks_S + 1.0), 0.0)
    return gains


def all_metrics(ranks_S: Ranks) -> dict[str, float]:
    """Return the paper's six metrics under the names `mrr@5`, `ndcg@5`, `recall@5`, `mrr@10`, ..., in its order."""
    metrics: dict[str, float] = {}
    for k in CUTOFFS:
        metrics[f"mrr@{k}"] = mrr_at(ranks_S, k)
        metrics[f"ndcg@{k}"] = ndcg_at(ranks_S, k)
        metrics[f"recall@{k}"] = recall_at(ranks_S, k)
    return metrics


def _mean(values: npt.NDArray[np.float64] | npt.NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
