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
from llamarec_cli.retrieval.conditional_logit import fit_conditional_logit, log_softmax

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
        # A blend's own score beside those of its members: the prior of the fit is the blend's own order.
        signals = tuple(dict.fromkeys((Signal.RETRIEVER, *self.retrievers, *self.cheap)))
        plain = tuple(one for one in (*self.retrievers, *self.cheap) if one not in self.reading)
        if self.reading and plain:
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

    Args:
        signals: All but the language model's; S x P each.
        exists_SP: Which of the P places hold a candidate.
        answers_S: Place of each user's true item.
        available: Signals that may have coefficients.
        k: Candidates scored by the language model.
        read: Runs the language model; called once, if there is one.
    """
    model, subsets = available.model, available.subsets()
    pools = _Pools(signals, exists_SP, answers_S)
    baseline = _ndcgs(RETRIEVER_ALONE.log_probabilities(signals, exists_SP), answers_S)
    fits = {RETRIEVER: _measured(RETRIEVER_ALONE, baseline, baseline)}
    orders = {RETRIEVER: pools.cross_fitted([Signal.RETRIEVER])[0]}
    likelihoods = {RETRIEVER: pools.likelihoods(orders[RETRIEVER])}
    for name, subset in subsets.items():
        if model not in subset:
            orders[name], fusion = pools.cross_fitted(subset)
            likelihoods[name] = pools.likelihoods(orders[name])
            fits[name] = _measured(fusion, _ndcgs(orders[name], answers_S), baseline)
    if model is not None:
        first = SIGNALS if SIGNALS in fits else RETRIEVER
        first_SP, places_SK = best_places(fits[first].fusion.log_probabilities(signals, exists_SP), k)
        read_pools = pools.at(places_SK, {model: read(places_SK)})
        # What a language model adds to the likelihood shows among the candidates it scores; elsewhere it adds nothing.
        without_S = read_pools.likelihoods(log_softmax(np.take_along_axis(orders[first], places_SK, axis=1)))

        def measured(order_SK: Array, fusion: Fusion) -> FittedFusion:
            return _measured(fusion, _ndcgs(before_the_rest(first_SP, places_SK, order_SK), answers_S), baseline)

        # Alone, the language model keeps its own order: of a fit only a positive coefficient is used, which calibrates
        # the probabilities without changing the order.
        coefficient = read_pools.fit([model]).coefficients[model]
        alone = Fusion({model: coefficient if coefficient > 0 else 1.0})
        fits[model] = measured(alone.log_probabilities(read_pools.signals, read_pools.exists_SP), alone)
        for name, subset in subsets.items():
            if model in subset:
                order_SK, fusion = read_pools.cross_fitted(subset)
                likelihoods[name] = likelihoods[first] + read_pools.likelihoods(order_SK) - without_S
                fits[name] = measured(order_SK, fusion)
    shown = [RETRIEVER, *([model] if model is not None else []), *subsets]
    groups = FusionGroups({name: fits[name] for name in shown}, RETRIEVER, len(answers_S), model, k)
    return _with_choice(groups, likelihoods)


def _with_choice(groups: FusionGroups, likelihoods: Mapping[str, Array]) -> FusionGroups:
    """Return the groups with their likelihoods and the one that ranks.

    Args:
        groups: All fits.
        likelihoods: Cross-validated log-likelihood of each user's true item, by group.
    """
    fitted = dict(groups.fitted)
    for name in groups.eligible:
        gains = likelihoods[name] - likelihoods[RETRIEVER]
        fitted[name] = dataclasses.replace(
            fitted[name], likelihood_gain=float(gains.mean()), likelihood_error=_standard_error(gains)
        )
    # By what a list costs: the retriever's order, signals, a forward pass of the language model.
    costs = {name: 0 if name == RETRIEVER else 1 + groups.reads(name) for name in (RETRIEVER, *groups.eligible)}
    best = max(costs, key=lambda name: float(likelihoods[name].mean()))
    chosen, reason = best, "its cross-validated log-likelihood of the true item is the highest"
    if groups.users < MIN_USERS:
        chosen, reason = RETRIEVER, f"{groups.users} users are too few to choose by; {MIN_USERS} are needed"
    else:
        for name in sorted(costs, key=lambda name: (costs[name], -float(likelihoods[name].mean()))):
            behind = likelihoods[best] - likelihoods[name]
            if costs[name] < costs[best] and behind.mean() <= _standard_error(behind):
                chosen = name
                reason = (
                    f"it costs less than {best}, whose log-likelihood is higher by {behind.mean():.4f}, within one "
                    f"standard error ({_standard_error(behind):.4f})"
                )
                break
    return dataclasses.replace(groups, fitted=fitted, chosen=chosen, reason=reason)


@dataclass(frozen=True)
class _Pools:
    """Signals of users' pools, and the places of their true items.

    Attributes:
        signals: S x P each.
        exists_SP: Which of the P places hold a candidate.
        answers_S: Place of each user's true item.
        inside_S: Users whose true item is at one of the places; None for all. Only they are fitted on.
    """

    signals: Signals
    exists_SP: npt.NDArray[np.bool_]
    answers_S: npt.NDArray[np.integer]
    inside_S: npt.NDArray[np.bool_] | None = None

    def at(self, places_SK: Places, more: Signals) -> _Pools:
        """Return the pools reduced to K of their places, with more signals, S x K each."""
        hits_SK = places_SK == self.answers_S[:, None]
        exists_SK = np.take_along_axis(self.exists_SP, places_SK, axis=1)
        return _Pools(at_places(self.signals, places_SK) | more, exists_SK, hits_SK.argmax(axis=1), hits_SK.any(axis=1))

    def fit(self, chosen: Sequence[str], users: npt.NDArray[np.bool_] | None = None) -> Fusion:
        """Fit the coefficients of some signals, with a prior around the retriever's own order.

        Args:
            chosen: Signals with a coefficient.
            users: Users that are fitted on; all by default.
        """
        among_S = np.ones(len(self.answers_S), dtype=bool) if users is None else users
        rows = np.flatnonzero(among_S if self.inside_S is None else among_S & self.inside_S)
        values_SPJ = np.stack([self.signals[signal][rows] for signal in chosen], axis=-1)
        prior_J = np.array([float(signal == Signal.RETRIEVER) for signal in chosen])
        found = fit_conditional_logit(values_SPJ, self.exists_SP[rows], self.answers_S[rows], prior_J=prior_J)
        return Fusion({signal: float(beta) for signal, beta in zip(chosen, found, strict=True)})

    def cross_fitted(self, chosen: Sequence[str]) -> tuple[Array, Fusion]:
        """Return cross-validated log-probabilities of each user's pool, S x P, and the fit on all users."""
        fold_S = np.random.default_rng(0).permutation(len(self.answers_S)) % _FOLDS
        orders_SP = np.zeros(self.exists_SP.shape)
        for fold in range(min(_FOLDS, len(self.answers_S))):
            held = fold_S == fold
            of_held = {name: values[held] for name, values in self.signals.items()}
            orders_SP[held] = self.fit(chosen, ~held).log_probabilities(of_held, self.exists_SP[held])
        return orders_SP, self.fit(chosen)

    def likelihoods(self, orders_SP: Array) -> Array:
        """Return the log-probability of each user's true item; 0 for users whose item is at none of the places."""
        found_S = orders_SP[np.arange(len(self.answers_S)), self.answers_S]
        return found_S if self.inside_S is None else np.where(self.inside_S, found_S, 0.0)


def _ndcgs(order_SP: Array, answers_S: npt.NDArray[np.integer]) -> Array:
    """Return each user's NDCG@10."""
    return ndcg_per_user(ranks_of_answers(order_SP, answers_S), 10)


def _measured(fusion: Fusion, ndcgs: Array, baseline: Array) -> FittedFusion:
    """Return a fusion with its mean NDCG@10 and gain over a baseline, given both of each user."""
    differences = ndcgs - baseline
    return FittedFusion(fusion, float(ndcgs.mean()), float(differences.mean()), _standard_error(differences))


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.inf
