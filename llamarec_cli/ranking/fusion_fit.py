"""Fitting the final order: coefficients of each group of signals by maximum likelihood, and the choice of one group.

Shapes: S users, P items of a pool, K candidates that a language model reads, J signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.evaluation.metrics import ndcg_per_user, ranks_of_answers
from llamarec_cli.ranking.fusion import (
    BEYOND_CHANCE,
    EVERYTHING,
    PLAIN,
    RETRIEVER,
    RETRIEVER_ALONE,
    SIGNALS,
    FittedFusion,
    Fusion,
    FusionGroups,
    Places,
    Read,
    at_places,
    before_the_rest,
    best_places,
)
from llamarec_cli.ranking.signals import Array, Signal, Signals
from llamarec_cli.retrieval.conditional_logit import fit_conditional_logit

_FOLDS = 5
# Fewer users decide nothing, however they agree.
_MIN_USERS = 20


@dataclass(frozen=True)
class Available:
    """Signals that may count, by what they cost.

    Attributes:
        retrievers: Scores of the first stage: those of the retrievers it blends, or else its own.
        reading: Those of `retrievers` that come from a language model's reading of the catalogue.
        cheap: Signals of counts and words.
        model: The signal of a language model that reads the candidates; None for none.
    """

    retrievers: tuple[str, ...] = (Signal.RETRIEVER,)
    reading: tuple[str, ...] = ()
    cheap: tuple[str, ...] = ()
    model: str | None = None

    def subsets(self) -> dict[str, tuple[str, ...]]:
        """Return the signals of each group that is fitted, by name of the group."""
        found: dict[str, tuple[str, ...]] = {}
        signals = (*self.retrievers, *self.cheap)
        plain = tuple(signal for signal in signals if signal not in self.reading)
        if plain and plain != signals:
            found[PLAIN] = plain
        if signals != (Signal.RETRIEVER,):
            found[SIGNALS] = signals
        if self.model is not None:
            found[f"retriever + {self.model}"] = (Signal.RETRIEVER, self.model)
            if SIGNALS in found:
                found[EVERYTHING] = (*signals, self.model)
        return found


def fit_groups(
    signals: Signals,
    exists_SP: npt.NDArray[np.bool_],
    answers_S: npt.NDArray[np.integer],
    available: Available,
    k: int,
    read: Read,
) -> FusionGroups:
    """Fit every subset of signals that an ablation shows, and choose the one that ranks.

    Chosen is the best of those that beat the retriever alone by more than chance; if there is none, the retriever. A
    language model that reads candidates costs every user a forward pass, so what ranks without it gives way only to
    what beats it by more than chance as well.

    Args:
        signals: All but the language model's; S x P each.
        exists_SP: Which of the P places hold a candidate.
        answers_S: Place of each user's true item.
        available: Which signals may count.
        k: Candidates that a language model reads.
        read: Asks the language model; called once, if it may count.
    """
    model, subsets = available.model, available.subsets()
    fits: dict[str, FittedFusion] = {RETRIEVER: _as_it_is(RETRIEVER_ALONE, signals, exists_SP, answers_S)}
    gains: dict[str, Array] = {}
    own_order = _ndcgs(RETRIEVER_ALONE.log_probabilities(signals, exists_SP), answers_S)
    for name, subset in subsets.items():
        if model not in subset:
            orders, fusion = _cross_fitted(signals, exists_SP, answers_S, subset)
            gains[name] = _ndcgs(orders, answers_S)
            fits[name] = _measured(fusion, gains[name], gains[name] - own_order)
    if model is not None:
        first = fits.get(SIGNALS, fits[RETRIEVER]).fusion
        first_SP, places_SK = best_places(first.log_probabilities(signals, exists_SP), k)
        of_places = at_places(signals, places_SK) | {model: read(places_SK)}
        exists_SK = np.take_along_axis(exists_SP, places_SK, axis=1)
        hits = places_SK == answers_S[:, None]
        inside, answers = np.flatnonzero(hits.any(axis=1)), hits.argmax(axis=1)

        def measured(orders_SK: Array, fusion: Fusion) -> FittedFusion:
            found = _ndcgs(before_the_rest(first_SP, places_SK, orders_SK), answers_S)
            return _measured(fusion, found, found - own_order)

        # Alone, the language model keeps its own order: only a coefficient above 0, which calibrates its probabilities
        # and moves no candidate, is taken from a fit.
        coefficient = _fit(of_places, exists_SK, answers, [model], inside).coefficients[model]
        alone = Fusion({model: coefficient if coefficient > 0 else 1.0})
        fits[model] = measured(alone.log_probabilities(of_places, exists_SK), alone)
        for name, subset in subsets.items():
            if model in subset:
                orders, fusion = _cross_fitted(of_places, exists_SK, answers, subset, inside)
                gains[name] = _ndcgs(before_the_rest(first_SP, places_SK, orders), answers_S)
                fits[name] = measured(orders, fusion)
    enough = len(answers_S) >= _MIN_USERS
    better = [name for name in gains if name != PLAIN and enough and fits[name].beats_retriever]
    if SIGNALS in better:
        better = [name for name in better if name == SIGNALS or _beyond_chance(gains[name] - gains[SIGNALS])]
    chosen = max(better, key=lambda name: fits[name].ndcg, default=RETRIEVER)
    shown = [RETRIEVER, *([model] if model is not None else []), *subsets]
    return FusionGroups({name: fits[name] for name in shown}, chosen, len(answers_S), model, k)


def fit_fusion(
    signals: Signals, exists_SP: npt.NDArray[np.bool_], answers_S: npt.NDArray[np.integer], chosen: Sequence[str]
) -> FittedFusion:
    """Fit coefficients by maximum likelihood, and measure them by cross-validation.

    Args:
        signals: S x P each; the retriever's and the chosen ones.
        exists_SP: Which of the P places hold a candidate.
        answers_S: Place of each user's true item.
        chosen: Signals that count.
    """
    orders, fusion = _cross_fitted(signals, exists_SP, answers_S, chosen)
    own_order = _ndcgs(RETRIEVER_ALONE.log_probabilities(signals, exists_SP), answers_S)
    gains = _ndcgs(orders, answers_S)
    return _measured(fusion, gains, gains - own_order)


def _as_it_is(
    fusion: Fusion, signals: Signals, exists_SP: npt.NDArray[np.bool_], answers_S: npt.NDArray[np.integer]
) -> FittedFusion:
    """Measure the retriever's own order, which is not fitted."""
    gains = _ndcgs(fusion.log_probabilities(signals, exists_SP), answers_S)
    return _measured(fusion, gains, np.zeros_like(gains))


def _cross_fitted(
    signals: Signals,
    exists_SP: npt.NDArray[np.bool_],
    answers_S: npt.NDArray[np.integer],
    chosen: Sequence[str],
    inside: Places | None = None,
) -> tuple[Array, Fusion]:
    """Return each user's order by a fit that did not see the user, S x P, and the fit on all users.

    Args:
        signals: S x P each.
        exists_SP: Which of the P places hold a candidate.
        answers_S: Place of each user's true item.
        chosen: Signals that count.
        inside: Users whose true item is among the places at all; all by default. The others are ranked, not fitted on.
    """
    users = np.arange(len(answers_S))
    inside = users if inside is None else inside
    fold_S = np.random.default_rng(0).permutation(len(users)) % _FOLDS
    orders_SP = np.zeros(exists_SP.shape)
    for fold in range(min(_FOLDS, len(users))):
        held = users[fold_S == fold]
        fusion = _fit(signals, exists_SP, answers_S, chosen, inside[fold_S[inside] != fold])
        of_held = {name: values[held] for name, values in signals.items()}
        orders_SP[held] = fusion.log_probabilities(of_held, exists_SP[held])
    return orders_SP, _fit(signals, exists_SP, answers_S, chosen, inside)


def _ndcgs(order_SP: Array, answers_S: npt.NDArray[np.integer]) -> Array:
    """Return each user's NDCG@10."""
    return ndcg_per_user(ranks_of_answers(order_SP, answers_S), 10)


def _measured(fusion: Fusion, gains: Array, differences: Array) -> FittedFusion:
    return FittedFusion(fusion, float(gains.mean()), float(differences.mean()), _standard_error(differences))


def _beyond_chance(differences: Array) -> bool:
    return bool(differences.mean() > BEYOND_CHANCE * _standard_error(differences))


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.inf


def _fit(
    signals: Signals,
    exists_SP: npt.NDArray[np.bool_],
    answers_S: npt.NDArray[np.integer],
    chosen: Sequence[str],
    users: Places,
) -> Fusion:
    values_SPJ = np.stack([signals[signal][users] for signal in chosen], axis=-1)
    found = fit_conditional_logit(values_SPJ, exists_SP[users], answers_S[users])
    return Fusion({signal: float(beta) for signal, beta in zip(chosen, found, strict=True)})
