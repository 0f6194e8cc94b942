"""Conditional logit (McFadden): weights of several signals in the choice of one candidate.

    p(k) = softmax_k( sum_j beta_j x_jk )

It is fitted by maximum likelihood on users whose choice is known. The ensemble fits the weights of its parts with it,
and the ranker those of its signals.

Shapes: S users, K candidates, J signals.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# L2 penalty on the coefficients of standardised signals, relative to the mean log-likelihood per user.
_RIDGE = 1e-3


def log_softmax(scores: Array) -> Array:
    """Return the log-softmax over the last axis; minus infinity is preserved."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def fit_conditional_logit(
    signals_SKJ: npt.NDArray[np.floating],
    exists_SK: npt.NDArray[np.bool_],
    answers_S: npt.NDArray[np.integer],
    *,
    negative: bool = True,
) -> Array:
    """Return the J coefficients of maximum likelihood with a small L2 penalty.

    Args:
        signals_SKJ: Signals of every candidate; ignored where there is no candidate.
        exists_SK: Which of the K places hold a candidate.
        answers_S: Place of each user's true item.
        negative: Whether coefficients may be negative.

    Returns:
        J coefficients; zeros if there are no users.
    """
    if not len(answers_S):
        return np.zeros(signals_SKJ.shape[2])
    from scipy.optimize import minimize

    values_SKJ = np.where(exists_SK[..., None], signals_SKJ, 0.0)
    scale_J = values_SKJ[exists_SK].std(axis=0)
    scale_J[scale_J == 0] = 1.0
    values_SKJ /= scale_J
    places = (np.arange(len(answers_S)), answers_S)

    def loss_and_gradient(beta_J: Array) -> tuple[float, Array]:
        log_p = log_softmax(np.where(exists_SK, values_SKJ @ beta_J, -np.inf))
        expected_SJ = np.einsum("sk,skj->sj", np.exp(log_p), values_SKJ)
        loss = -log_p[places].mean() + _RIDGE / 2 * beta_J @ beta_J
        gradient = (expected_SJ - values_SKJ[places]).mean(axis=0) + _RIDGE * beta_J
        return float(loss), gradient

    start = np.zeros(len(scale_J))
    bounds = None if negative else [(0.0, None)] * len(start)
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds)
    result: Array = found.x / scale_J
    return result
