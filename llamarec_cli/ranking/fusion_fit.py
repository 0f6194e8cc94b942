"""Fitting the fusion: coefficients of each group of signals by maximum likelihood, and choice of the group that ranks.

Shapes: S users, P items of a pool, K candidates scored by the language model, J signals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.evaluation.metrics import ndcg_per_user, ranks_of_answers
from llamarec_cli.ranking.fusion import (
    EVERYTHING,
    MIN_USERS,
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


@dataclass(frozen=True)
class Available:
    """Signals that may have coefficients, by what they cost.

    Attributes:
        retrievers: Scores of the first stage: those of the retrievers it blends, or else its own.
        reading: The subset of `retrievers` that a language model contributes to, by encoding the catalogue's titles.
        cheap: Cheap signals.
        model: Signal of the language model that reads candidates, named after its strategy; None without one.
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
    """Fit every group of signals of the ablation, and choose the group that ranks.

    The choice is the group with the highest NDCG@10 among those whose gain over the retriever exceeds the threshold,
    or the retriever if there is none. If the signals without the language model exceed it, a group with the language
    model, which costs a forward pass a user, must exceed the same threshold over them as well.

    Args:
        signals: All but the language model's; S x P each.
        exists_SP: Which of the P places hold a candidate.
        answers_S: Place of each user's true item.
        available: Signals that may have coefficients.
        k: Candidates scored by the language model.
        read: Runs the language model; called once, if there is one.
    """
    model, subsets = available.model, available.subsets()
    baseline = _ndcgs(RETRIEVER_ALONE.log_probabilities(signals, exists_SP), answers_S)
    fits = {RETRIEVER: _measured(RETRIEVER_ALONE, baseline, baseline)}
    ndcgs: dict[str, Array] = {}
    for name, subset in subsets.items():
        if model not in subset:
            orders, fusion = _cross_fitted(signals, exists_SP, answers_S, subset)
            ndcgs[name] = _ndcgs(orders, answers_S)
            fits[name] = _measured(fusion, ndcgs[name], baseline)
    if model is not None:
        first = fits.get(SIGNALS, fits[RETRIEVER]).fusion
        first_SP, places_SK = best_places(first.log_probabilities(signals, exists_SP), k)
        at_SK = at_places(signals, places_SK) | {model: read(places_SK)}
        exists_SK = np.take_along_axis(exists_SP, places_SK, axis=1)
        hits = places_SK == answers_S[:, None]
        inside, answers = np.flatnonzero(hits.any(axis=1)), hits.argmax(axis=1)
        # Alone, the language model keeps its own order: of a fit only a positive coefficient is used, which calibrates
        # the probabilities without changing the order.
        coefficient = _fit(at_SK, exists_SK, answers, [model], inside).coefficients[model]
        alone = Fusion({model: coefficient if coefficient > 0 else 1.0})
        whole_SP = before_the_rest(first_SP, places_SK, alone.log_probabilities(at_SK, exists_SK))
        fits[model] = _measured(alone, _ndcgs(whole_SP, answers_S), baseline)
        for name, subset in subsets.items():
            if model in subset:
                orders, fusion = _cross_fitted(at_SK, exists_SK, answers, subset, inside)
                ndcgs[name] = _ndcgs(before_the_rest(first_SP, places_SK, orders), answers_S)
                fits[name] = _measured(fusion, ndcgs[name], baseline)
    shown = [RETRIEVER, *([model] if model is not None else []), *subsets]
    groups = FusionGroups({name: fits[name] for name in shown}, RETRIEVER, len(answers_S), model, k)
    return dataclasses.replace(groups, chosen=_choose(groups, ndcgs))


def _choose(groups: FusionGroups, ndcgs: Mapping[str, Array]) -> str:
    """Return the name of the group that ranks, given each user's cross-validated NDCG@10 by group."""
    fits = groups.fitted
    if groups.users < MIN_USERS:
        return RETRIEVER
    better = [name for name in groups.eligible if fits[name].beats_retriever]
    if SIGNALS in better:
        gains = {name: _measured(fits[name].fusion, ndcgs[name], ndcgs[SIGNALS]) for name in better}
        better = [name for name in better if name == SIGNALS or gains[name].beats_retriever]
    return max(better, key=lambda name: fits[name].ndcg, default=RETRIEVER)


def _cross_fitted(
    signals: Signals,
    exists_SP: npt.NDArray[np.bool_],
    answers_S: npt.NDArray[np.integer],
    chosen: Sequence[str],
    inside: Places | None = None,
) -> tuple[Array, Fusion]:
    """Return cross-validated log-probabilities of each user's pool, S x P, and the fit on all users.

    Args:
        signals: S x P each.
        exists_SP: Which of the P places hold a candidate.
        answers_S: Place of each user's true item.
        chosen: Signals with a coefficient.
        inside: Users whose true item is at one of the places; all by default. Only they are fitted on.
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


def _measured(fusion: Fusion, ndcgs: Array, baseline: Array) -> FittedFusion:
    """Return a fusion with its mean NDCG@10 and gain over a baseline, given both of each user."""
    differences = ndcgs - baseline
    return FittedFusion(fusion, float(ndcgs.mean()), float(differences.mean()), _standard_error(differences))


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
