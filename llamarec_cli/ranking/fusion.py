"""The final order: a small conditional logit over signals, fitted on validation users.

    p(k) = softmax_k( sum_j beta_j x_jk )        x_jk is signal j of candidate k

Each subset of signals that `evaluate` shows has its own coefficients. The one that ranks is kept only if, on users it
was not fitted on, it beats the retriever's own order by more than chance; else the retriever's order stands.

Signals that need no language model are computed for a whole pool of retrieved items. A language model reads the best K
of the order that those signals give; the others of the pool stay behind these, in that order.

Shapes: S users, P items of a pool, K candidates that a language model reads, J signals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llamarec_cli.ranking.signals import Array, Signal, Signals
from llamarec_cli.retrieval.conditional_logit import log_softmax

# Standard errors that a gain must exceed. Three groups are compared with the retriever, and each may be lucky: at 2.4
# one of them is so in about one of forty data sets.
BEYOND_CHANCE = 2.4
# What separates those that a language model read from the rest of a pool: their probability there is 0.
_BEHIND = -1e6

# Names of the groups of an ablation, beside the language model's own and the retriever with it.
RETRIEVER = "retriever"
PLAIN = "without a language model"
SIGNALS = "retriever + signals"
EVERYTHING = "all"

Places = npt.NDArray[np.int64]
# Returns the language model's log-probabilities of K places of each user's pool, S x K; minus infinity where none is.
Read = Callable[[Places], Array]


@dataclass(frozen=True)
class Fusion:
    """Coefficients of a conditional logit.

    Attributes:
        coefficients: One a signal; signals that are not in it do not count.
    """

    coefficients: Mapping[str, float]

    def log_probabilities(self, signals: Signals, exists_SP: npt.NDArray[np.bool_]) -> Array:
        """Return log-probabilities over each user's candidates, S x P; minus infinity where none exists.

        Args:
            signals: S x P each; at least those with a coefficient.
            exists_SP: Which of the P places hold a candidate.
        """
        scores = np.zeros(exists_SP.shape)
        for signal, coefficient in self.coefficients.items():
            scores = scores + coefficient * np.where(exists_SP, signals[signal], 0.0)
        return log_softmax(np.where(exists_SP, scores, -np.inf))


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
        return self.gain > BEYOND_CHANCE * self.error


@dataclass(frozen=True)
class FusionGroups:
    """The subsets of signals that an ablation shows, each with its own fit, and the one that ranks.

    Attributes:
        fitted: By name of the group.
        chosen: Name of the group that ranks.
        users: Validation users they were fitted on.
        model: The language model's signal; None for none.
        k: Candidates that the language model reads.
    """

    fitted: Mapping[str, FittedFusion]
    chosen: str
    users: int
    model: str | None
    k: int

    def reads(self, group: str) -> bool:
        """Tell whether a language model reads candidates for a group."""
        return self.model in self.fitted[group].fusion.coefficients

    def log_probabilities(self, group: str, signals: Signals, exists_SP: npt.NDArray[np.bool_], read: Read) -> Array:
        """Return the log-probabilities by which a group orders each user's pool, S x P.

        Args:
            group: Name of the group.
            signals: All but the language model's; S x P each.
            exists_SP: Which of the P places hold a candidate.
            read: Asks the language model; called only if it counts.
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
        """Return the order of the pool without a language model, S x P, and the places of its best `k`, S x K."""
        first = self.fitted[SIGNALS if SIGNALS in self.fitted else RETRIEVER].fusion
        return best_places(first.log_probabilities(signals, exists_SP), k)

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
        return {"chosen": self.chosen, "users": self.users, "model": self.model, "k": self.k, "groups": groups}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FusionGroups:
        """Undo `as_json`."""
        fitted = {
            name: FittedFusion(Fusion(one["coefficients"]), one["ndcg@10"], one["gain"], one["error"])
            for name, one in content["groups"].items()
        }
        return cls(fitted, content["chosen"], content["users"], content["model"], content["k"])


def at_places(signals: Signals, places_SK: Places) -> Signals:
    """Return the signals of some places of each user's pool, S x K each."""
    return {name: np.take_along_axis(values, places_SK, axis=1) for name, values in signals.items()}


def best_places(order_SP: Array, k: int) -> tuple[Array, Places]:
    """Return an order, and the places of each user's best `k`, best first; equals in the pool's order."""
    return order_SP, np.argsort(-order_SP, axis=1, kind="stable")[:, :k]


def before_the_rest(first_SP: Array, places_SK: Places, order_SK: Array) -> Array:
    """Return the order of whole pools: some places by one order, the others behind them by another."""
    whole_SP = first_SP + _BEHIND
    np.put_along_axis(whole_SP, places_SK, order_SK, axis=1)
    return whole_SP
