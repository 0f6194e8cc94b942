"""Recall, MRR and NDCG at k from one integer array: the 1-based rank of each user's true item (paper, section 4.0.3).

Each user has one true item, so Recall@k is the hit rate and the ideal DCG is 1. An item that was not retrieved has a
rank beyond every k. Ranks are pessimistic: the true item stands behind all items of the same score.

Shapes: S users, K candidates.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.integer]
Gains = npt.NDArray[np.float64]

CUTOFFS = (5, 10)


def recall_per_user(ranks_S: Ranks, k: int) -> Gains:
    """Return 1 for each user whose true item is among the first k, 0 for the others."""
    return (ranks_S <= k).astype(np.float64)


def mrr_per_user(ranks_S: Ranks, k: int) -> Gains:
    """Return 1 / rank for each user, 0 beyond k."""
    gains: Gains = np.where(ranks_S <= k, 1.0 / ranks_S, 0.0)
    return gains


def ndcg_per_user(ranks_S: Ranks, k: int) -> Gains:
    """Return 1 / log2(rank + 1) for each user, 0 beyond k."""
    gains: Gains = np.where(ranks_S <= k, 1.0 / np.log2(ranks_S + 1.0), 0.0)
    return gains


def recall_at(ranks_S: Ranks, k: int) -> float:
    """Return the share of users whose true item is among the first k; 0 for no users."""
    return _mean(recall_per_user(ranks_S, k))


def mrr_at(ranks_S: Ranks, k: int) -> float:
    """Return the mean of 1 / rank, 0 beyond k; 0 for no users."""
    return _mean(mrr_per_user(ranks_S, k))


def ndcg_at(ranks_S: Ranks, k: int) -> float:
    """Return the mean of 1 / log2(rank + 1), 0 beyond k; 0 for no users."""
    return _mean(ndcg_per_user(ranks_S, k))


def gains_per_user(ranks_S: Ranks) -> dict[str, Gains]:
    """Return each user's value of the paper's six metrics, by name (`mrr@5`, `ndcg@5`, ...) and in its order."""
    gains: dict[str, Gains] = {}
    for k in CUTOFFS:
        gains[f"mrr@{k}"] = mrr_per_user(ranks_S, k)
        gains[f"ndcg@{k}"] = ndcg_per_user(ranks_S, k)
        gains[f"recall@{k}"] = recall_per_user(ranks_S, k)
    return gains


def all_metrics(ranks_S: Ranks) -> dict[str, float]:
    """Return the mean over users of the paper's six metrics, by name and in its order."""
    return {name: _mean(gains) for name, gains in gains_per_user(ranks_S).items()}


def ranks_of_answers(scores_SK: npt.NDArray[np.float64], answers_S: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Return the 1-based rank of each user's true candidate, behind all candidates of the same score.

    Args:
        scores_SK: Scores of the candidates; higher is better.
        answers_S: Column of each user's true candidate.
    """
    own_S1 = np.take_along_axis(scores_SK, answers_S[:, None], axis=1)
    # "Not below" rather than "at least": a NaN must never count as a hit.
    ranks: npt.NDArray[np.int32] = (~(scores_SK < own_S1)).sum(axis=1).astype(np.int32)
    return ranks


def _mean(gains_S: Gains) -> float:
    return float(np.mean(gains_S)) if len(gains_S) else 0.0
