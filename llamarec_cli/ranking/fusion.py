"""The final order: log-probabilities of retriever and verbalizer together, so that a weak adapter spoils nothing.

    score_k = (1 - weight) * log p_retriever(k) + weight * log p_verbalizer(k)

with one weight, fitted on validation users whose item was retrieved. Weight 0 is the retriever's own order and
weight 1 the paper's, the verbalizer alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.evaluation.metrics import ndcg_per_user

Array = npt.NDArray[np.float64]

_WEIGHTS = np.linspace(0.0, 1.0, 21)


def fuse(retriever_SK: Array, verbalizer_SK: Array, weight: float) -> Array:
    """Return fused log-probabilities over each user's candidates, S x K or K."""
    # Candidates that do not exist have log-probability minus infinity on both sides; 0 x infinity must not arise.
    if weight == 0.0:
        scores = retriever_SK
    elif weight == 1.0:
        scores = verbalizer_SK
    else:
        scores = (1 - weight) * retriever_SK + weight * verbalizer_SK
    shifted = scores - scores.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def ranks_of_answers(scores_SK: Array, answers_S: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Return the 1-based rank of each user's true candidate; it stands behind candidates of the same score."""
    own_S1 = np.take_along_axis(scores_SK, answers_S[:, None], axis=1)
    # "Not below" rather than "at least": a score that is not a number must never look like a hit.
    ranks: npt.NDArray[np.int32] = (~(scores_SK < own_S1)).sum(axis=1).astype(np.int32)
    return ranks


@dataclass(frozen=True)
class FittedWeight:
    """The weight, and what it was chosen on.

    Attributes:
        weight: Share of the verbalizer, in [0, 1].
        users: Validation users it was fitted on.
        ndcg_by_weight: Their mean NDCG@10 at each weight tried, from 0 to 1.
    """

    weight: float
    users: int
    ndcg_by_weight: dict[str, float]


def fit_weight(retriever_SK: Array, verbalizer_SK: Array, answers_S: npt.NDArray[np.integer]) -> FittedWeight:
    """Choose the weight of the best NDCG@10, if it beats the retriever alone by more than two standard errors, else 0.

    The standard error is that of the paired difference over users. Among a few hundred of them some weight always
    looks better than the retriever by luck, and following luck would spoil its order.
    """
    per_user = [
        ndcg_per_user(ranks_of_answers(fuse(retriever_SK, verbalizer_SK, weight), answers_S), 10) for weight in _WEIGHTS
    ]
    means = [float(gains.mean()) if len(gains) else 0.0 for gains in per_user]
    best = int(np.argmax(means))
    beats = means[best] - means[0] > 2 * _standard_error(per_user[best] - per_user[0])
    by_weight = {f"{weight:.2f}": mean for weight, mean in zip(_WEIGHTS, means, strict=True)}
    return FittedWeight(float(round(_WEIGHTS[best], 2)) if beats else 0.0, len(answers_S), by_weight)


def _standard_error(differences: Array) -> float:
    if len(differences) < 2:
        return np.inf
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))
