"""Fusion of signals into the final score: a conditional logit, fitted on validation users.

    p(k) = softmax_k( sum_j beta_j x_jk )        x_jk is signal j of candidate k

Coefficients are fitted for several groups of signals, which `evaluate` shows as an ablation. A group ranks only if its
cross-validated gain over the retriever's own order exceeds a threshold; otherwise the retriever's order is kept.

Signals that need no language model are computed for the whole pool of retrieved items. The language model scores the
top K of the order by those signals; the rest of the pool follows in that order.

Shapes: S users, P items of a pool, K candidates scored by the language model, J signals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llamarec_cli.ranking.signals import Array, Signal, Signals
from llamarec_cli.retrieval.conditional_logit import log_softmax

# Threshold for a gain, in standard errors. Up to three groups are compared with the retriever; with 2.4 the chance that
# any of them exceeds the threshold without a true gain is about 1 in 40.
THRESHOLD_ERRORS = 2.4
# Groups are chosen only with as many validation users.
MIN_USERS = 20
# Added to the log-probabilities of the rest of a pool, so that it follows the K candidates with probability 0.
_REST_OFFSET = -1e6

# Names of the groups of an ablation, beside the language model alone and the retriever with it.
RETRIEVER = "retriever"
PLAIN = "without a language model"
SIGNALS = "retriever + signals"
EVERYTHING = "all"

Places = npt.NDArray[np.int64]
# Maps K places of each user's pool to the language model's log-probabilities, S x K; minus infinity for no candidate.
Read = Callable[[Places], Array]


@dataclass(frozen=True)
class Fusion:
    """Coefficients of a conditional logit.

    Attributes:
        coefficients: By signal; all other signals are ignored.
    """

    coefficients: Mapping[str, float]

    def log_probabilities(self, signals: Signals, exists_SP: npt.NDArray[np.bool_]) -> Array:
        """Return log-probabilities over each user's candidates, S x P; minus infinity where none exists.

        Args:
            signals: S x P each; must contain every signal with a coefficient.
            exists_SP: Which of the P places hold a candidate.
        """
        scores = np.zeros(exists_SP.shape)
        for signal, coefficient in self.coefficients.items():
            scores = scores + coefficient * np.where(exists_SP, signals[signal], 0.0)
        return log_softmax(np.where(exists_SP, scores, -np.inf))


RETRIEVER_ALONE = Fusion({Signal.RETRIEVER: 1.0})


@dataclass(frozen=True)
class FittedFusion:
    """A conditional logit and its quality on validation users.

    Attributes:
        fusion: Fitted on all of these users.
        ndcg: NDCG@10 by 5-fold cross-validation.
        gain: Mean difference of the cross-validated NDCG@10 to that of the retriever's own order.
        error: Standard error of the gain.
    """

    fusion: Fusion
    ndcg: float
    gain: float
    error: float

    @property
    def threshold(self) -> float:
        """Gain that must be exceeded for the fusion to rank."""
        return THRESHOLD_ERRORS * self.error

    @property
    def beats_retriever(self) -> bool:
        """Whether the gain exceeds the threshold."""
        return self.gain > self.threshold


@dataclass(frozen=True)
class FusionGroups:
    """Fits of all groups of signals, and the group that ranks.

    Attributes:
        fitted: By name of the group.
        chosen: Name of the group that ranks.
        users: Number of validation users.
        model: Strategy of the language model, whose name is that of its signal; None without a language model.
        k: Candidates scored by the language model.
    """

    fitted: Mapping[str, FittedFusion]
    chosen: str
    users: int
    model: str | None
    k: int

    @property
    def eligible(self) -> list[str]:
        """Names of the groups that may rank; the others only show what the language model contributes."""
        return [name for name in self.fitted if name not in (RETRIEVER, PLAIN, self.model)]

    def reads(self, group: str) -> bool:
        """Return whether a group needs the language model."""
        return self.model in self.fitted[group].fusion.coefficients

    def log_probabilities(self, group: str, signals: Signals, exists_SP: npt.NDArray[np.bool_], read: Read) -> Array:
        """Return the log-probabilities of each user's pool by the fusion of a group, S x P.

        Args:
            group: Name of the group.
            signals: All but the language model's; S x P each.
            exists_SP: Which of the P places hold a candidate.
            read: Runs the language model; called only if the group needs it.
        """
        fusion = self.fitted[group].fusion
        if not self.reads(group):
            return fusion.log_probabilities(signals, exists_SP)
        assert self.model is not None
        first_SP, places_SK = self.candidates(signals, exists_SP, self.k)
        of_places = at_places(signals, places_SK) | {self.model: read(places_SK)}
        exists_SK = np.take_along_axis(exists_SP, places_SK, axis=1)
        return before_the_rest(first_SP, places_SK, fusion.log_probabilities(of_places, exists_SK))

    def candidates(self, signals: Signals, exists_SP: npt.NDArray[np.bool_], k: int) -> tuple[Array, Places]:
        """Return the log-probabilities of pools without the language model, and the places of their top `k`, S x K."""
        first = self.fitted[SIGNALS if SIGNALS in self.fitted else RETRIEVER].fusion
        return best_places(first.log_probabilities(signals, exists_SP), k)

    def as_json(self) -> dict[str, Any]:
        """Return all fields as JSON, for a manifest."""
        groups = {
            name: {
                "coefficients": {str(signal): value for signal, value in one.fusion.coefficients.items()},
                "ndcg@10": one.ndcg,
                "gain": one.gain,
                "error": one.error,
            }
            for name, one in self.fitted.items()
        }
        return {"chosen": self.chosen, "users": self.users, "model": self.model, "k": self.k, "groups": groups}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FusionGroups:
        """Read what `as_json` returned."""
        fitted = {
            name: FittedFusion(Fusion(one["coefficients"]), one["ndcg@10"], one["gain"], one["error"])
            for name, one in content["groups"].items()
        }
        return cls(fitted, content["chosen"], content["users"], content["model"], content["k"])


def at_places(signals: Signals, places_SK: Places) -> Signals:
    """Return the signals at given places of each user's pool, S x K each."""
    return {name: np.take_along_axis(values, places_SK, axis=1) for name, values in signals.items()}


def best_places(order_SP: Array, k: int) -> tuple[Array, Places]:
    """Return the values given, and the places of each user's top `k`, best first; ties are in the pool's order."""
    return order_SP, np.argsort(-order_SP, axis=1, kind="stable")[:, :k]


def before_the_rest(first_SP: Array, places_SK: Places, order_SK: Array) -> Array:
    """Return log-probabilities of whole pools: `order_SK` at some places, and behind them the rest by `first_SP`."""
    whole_SP = first_SP + _REST_OFFSET
    np.put_along_axis(whole_SP, places_SK, order_SK, axis=1)
    return whole_SP
