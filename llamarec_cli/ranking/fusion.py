"""The final score: a small conditional logit over signals, fitted on validation users, never worse than the retriever.

    p(k) = softmax_k( sum_j beta_j x_jk )

x_jk is signal j of candidate k (McFadden's conditional logit). Each subset of signals that `evaluate` shows has its own
coefficients. The one that ranks is kept only if, on users it was not fitted on, it beats the retriever's own order by
more than chance; else the retriever's order stands.

Shapes: S users, K candidates, J signals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llamarec_cli.evaluation.metrics import ndcg_per_user, ranks_of_answers
from llamarec_cli.ranking.signals import Array, Signal, Signals

# Pulls coefficients towards 0, in units of one user's log-likelihood a standard deviation of the signal.
_RIDGE = 1e-3
_FOLDS = 5
# Standard errors that a gain must exceed. Three groups are compared with the retriever, and each may be lucky: at 2.4
# one of them is so in about one of forty data sets.
_BEYOND_CHANCE = 2.4
# Fewer users decide nothing, however they agree.
_MIN_USERS = 20

# Names of the groups of an ablation, beside the language model's own and the retriever with it.
RETRIEVER = "retriever"
SIGNALS = "retriever + signals"
EVERYTHING = "all"


@dataclass(frozen=True)
class Fusion:
    """Coefficients of a conditional logit.

    Attributes:
        coefficients: One a signal; signals that are not in it do not count.
    """

    coefficients: Mapping[Signal, float]

    def log_probabilities(self, signals: Signals, exists_SK: npt.NDArray[np.bool_]) -> Array:
        """Return log-probabilities over each user's candidates, S x K; minus infinity where none exists.

        Args:
            signals: S x K each; at least those with a coefficient.
            exists_SK: Which of the K places hold a candidate.
        """
        scores = np.zeros(exists_SK.shape)
        for signal, coefficient in self.coefficients.items():
            scores = scores + coefficient * np.where(exists_SK, signals[signal], 0.0)
        return log_softmax(np.where(exists_SK, scores, -np.inf))


RETRIEVER_ALONE = Fusion({Signal.RETRIEVER: 1.0})


@dataclass(frozen=True)
class FittedFusion:
    """A conditional logit and how it did on validation users.

    Attributes:
        fusion: Fitted on all of them.
        ndcg: NDCG@10 with each fifth of the users ranked by a fit on the other four.
        gain: Mean difference of that to the retriever's own order.
        error: Standard error of the gain.
    """

    fusion: Fusion
    ndcg: float
    gain: float
    error: float

    @property
    def beats_retriever(self) -> bool:
        """Whether the gain is more than chance."""
        return self.gain > _BEYOND_CHANCE * self.error


@dataclass(frozen=True)
class FusionGroups:
    """The subsets of signals that an ablation shows, each with its own fit, and the one that ranks.

    Attributes:
        fitted: By name of the group.
        chosen: Name of the group that ranks.
        users: Validation users they were fitted on.
    """

    fitted: Mapping[str, FittedFusion]
    chosen: str
    users: int

    def as_json(self) -> dict[str, Any]:
        """Return everything for a manifest."""
        groups = {
            name: {
                "coefficients": {str(signal): value for signal, value in one.fusion.coefficients.items()},
                "ndcg@10": one.ndcg,
                "gain": one.gain,
                "error": one.error,
            }
            for name, one in self.fitted.items()
        }
        return {"chosen": self.chosen, "users": self.users, "groups": groups}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FusionGroups:
        """Undo `as_json`."""
        fitted = {
            name: FittedFusion(
                Fusion({Signal(signal): value for signal, value in one["coefficients"].items()}),
                one["ndcg@10"],
                one["gain"],
                one["error"],
            )
            for name, one in content["groups"].items()
        }
        return cls(fitted, content["chosen"], content["users"])


def log_softmax(scores: Array) -> Array:
    """Return the log-softmax over the last axis; minus infinity stays."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def fit_groups(
    signals: Signals,
    exists_SK: npt.NDArray[np.bool_],
    answers_S: npt.NDArray[np.integer],
    model: Signal,
    cheap: Sequence[Signal],
) -> FusionGroups:
    """Fit every subset of signals that an ablation shows, and choose the one that ranks.

    Chosen is the best of those that beat the retriever alone by more than chance; if there is none, the retriever. A
    language model costs every user a forward pass, so what ranks without it gives way only to what beats it by more
    than chance as well.

    Args:
        signals: S x K each; the retriever's, the language model's and the cheap ones.
        exists_SK: Which of the K places hold a candidate.
        answers_S: Place of each user's true item.
        model: The language model's signal.
        cheap: Signals without a language model that may count; none for none.
    """
    retriever = Signal.RETRIEVER
    subsets: dict[str, tuple[Signal, ...]] = {f"retriever + {model}": (retriever, model)}
    if cheap:
        subsets = {SIGNALS: (retriever, *cheap), **subsets, EVERYTHING: (retriever, *cheap, model)}
    measured = {name: _cross_fitted(signals, exists_SK, answers_S, subset) for name, subset in subsets.items()}
    fits = {name: fit for name, (fit, _) in measured.items()}
    # Alone, the language model keeps its own order: only a coefficient above 0, which calibrates its probabilities and
    # moves no candidate, is taken from a fit.
    fitted = _fit(signals, exists_SK, answers_S, [model], np.arange(len(answers_S))).coefficients[model]
    own_order = Fusion({model: fitted if fitted > 0 else 1.0})
    alone = {
        RETRIEVER: _as_it_is(RETRIEVER_ALONE, signals, exists_SK, answers_S),
        str(model): _as_it_is(own_order, signals, exists_SK, answers_S),
    }
    enough = len(answers_S) >= _MIN_USERS
    better = [name for name, one in fits.items() if enough and one.beats_retriever]
    if SIGNALS in better:
        gains = measured[SIGNALS][1]
        better = [name for name in better if name == SIGNALS or _beyond_chance(measured[name][1] - gains)]
    chosen = max(better, key=lambda name: fits[name].ndcg, default=RETRIEVER)
    return FusionGroups({**alone, **fits}, chosen, len(answers_S))


def _as_it_is(
    fusion: Fusion, signals: Signals, exists_SK: npt.NDArray[np.bool_], answers_S: npt.NDArray[np.integer]
) -> FittedFusion:
    """Measure coefficients that were not fitted."""
    gains = _ndcgs(fusion, signals, exists_SK, answers_S)
    return _measured(fusion, gains, gains - _ndcgs(RETRIEVER_ALONE, signals, exists_SK, answers_S))


def fit_fusion(
    signals: Signals,
    exists_SK: npt.NDArray[np.bool_],
    answers_S: npt.NDArray[np.integer],
    chosen: Sequence[Signal],
    seed: int = 0,
) -> FittedFusion:
    """Fit coefficients by maximum likelihood, and measure them by cross-validation.

    Args:
        signals: S x K each; the retriever's and the chosen ones.
        exists_SK: Which of the K places hold a candidate.
        answers_S: Place of each user's true item.
        chosen: Signals that count.
        seed: Of the folds.
    """
    return _cross_fitted(signals, exists_SK, answers_S, chosen, seed)[0]


def _cross_fitted(
    signals: Signals,
    exists_SK: npt.NDArray[np.bool_],
    answers_S: npt.NDArray[np.integer],
    chosen: Sequence[Signal],
    seed: int = 0,
) -> tuple[FittedFusion, Array]:
    """Return a fit, and each user's NDCG@10 by a fit that did not see her; see `fit_fusion`."""
    users = np.arange(len(answers_S))
    fold_S = np.random.default_rng(seed).permutation(len(users)) % _FOLDS
    gains = np.zeros(len(users))
    for fold in range(min(_FOLDS, len(users))):
        held, rest = users[fold_S == fold], users[fold_S != fold]
        fusion = _fit(signals, exists_SK, answers_S, chosen, rest)
        of_held = {name: values[held] for name, values in signals.items()}
        gains[held] = _ndcgs(fusion, of_held, exists_SK[held], answers_S[held])
    own_order = _ndcgs(RETRIEVER_ALONE, signals, exists_SK, answers_S)
    return _measured(_fit(signals, exists_SK, answers_S, chosen, users), gains, gains - own_order), gains


def _ndcgs(
    fusion: Fusion, signals: Signals, exists_SK: npt.NDArray[np.bool_], answers_S: npt.NDArray[np.integer]
) -> Array:
    """Return each user's NDCG@10."""
    return ndcg_per_user(ranks_of_answers(fusion.log_probabilities(signals, exists_SK), answers_S), 10)


def _measured(fusion: Fusion, gains: Array, differences: Array) -> FittedFusion:
    return FittedFusion(fusion, float(gains.mean()), float(differences.mean()), _standard_error(differences))


def _beyond_chance(differences: Array) -> bool:
    return bool(differences.mean() > _BEYOND_CHANCE * _standard_error(differences))


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.inf


def _fit(
    signals: Signals,
    exists_SK: npt.NDArray[np.bool_],
    answers_S: npt.NDArray[np.integer],
    chosen: Sequence[Signal],
    users: npt.NDArray[np.int64],
) -> Fusion:
    if not len(users):
        return Fusion(dict.fromkeys(chosen, 0.0))
    from scipy.optimize import minimize

    exists = exists_SK[users]
    places = (np.arange(len(users)), answers_S[users])
    values_SKJ = np.stack([np.where(exists, signals[signal][users], 0.0) for signal in chosen], axis=-1)
    scale_J = values_SKJ[exists].std(axis=0)
    scale_J[scale_J == 0] = 1.0
    values_SKJ /= scale_J

    def loss_and_gradient(beta_J: Array) -> tuple[float, Array]:
        log_p = log_softmax(np.where(exists, values_SKJ @ beta_J, -np.inf))
        expected_SJ = np.einsum("sk,skj->sj", np.exp(log_p), values_SKJ)
        loss = -log_p[places].mean() + _RIDGE / 2 * beta_J @ beta_J
        gradient = (expected_SJ - values_SKJ[places]).mean(axis=0) + _RIDGE * beta_J
        return float(loss), gradient

    found = minimize(loss_and_gradient, np.zeros(len(chosen)), jac=True, method="L-BFGS-B")
    return Fusion({signal: float(beta) for signal, beta in zip(chosen, found.x / scale_J, strict=True)})
