import numpy as np
import pytest

from llamarec_cli.ranking.fusion import (
    RETRIEVER_ALONE,
    Fusion,
    FusionGroups,
    fit_fusion,
    fit_groups,
    log_softmax,
)
from llamarec_cli.ranking.signals import CHEAP, Signal, Signals

USERS, K = 400, 20
EVERYBODY = np.ones((USERS, K), dtype=bool)


def case(**strength: float) -> tuple[Signals, np.ndarray]:
    """Signals of noise, in which the true item stands out by as many standard deviations as its signal is given."""
    generator = np.random.default_rng(0)
    answers = generator.integers(K, size=USERS)
    signals: Signals = {}
    for signal in Signal:
        values = generator.normal(size=(USERS, K))
        values[np.arange(USERS), answers] += strength.get(str(signal), 0.0)
        signals[signal] = log_softmax(values)
    return signals, answers


def test_probabilities_sum_to_1_over_the_candidates_that_exist() -> None:
    exists = np.array([[True, True, False]])
    values = np.array([[np.log(0.5), np.log(0.5), -np.inf]])
    signals = {Signal.RETRIEVER: values, Signal.TITLES: np.array([[0.0, 1.0, 0.0]])}
    found = Fusion({Signal.RETRIEVER: 2.0, Signal.TITLES: 1.0}).log_probabilities(signals, exists)
    assert np.exp(found).tolist() == [pytest.approx([1 / (1 + np.e), np.e / (1 + np.e), 0])]


def test_the_retriever_alone_is_its_own_distribution() -> None:
    signals, _ = case()
    assert np.allclose(RETRIEVER_ALONE.log_probabilities(signals, EVERYBODY), signals[Signal.RETRIEVER])


def test_maximum_likelihood_finds_the_coefficients_that_made_the_choices() -> None:
    generator = np.random.default_rng(1)
    values = {signal: generator.normal(size=(20_000, K)) for signal in (Signal.RETRIEVER, Signal.TITLES)}
    utilities = 1.5 * values[Signal.RETRIEVER] - 0.5 * values[Signal.TITLES]
    chosen = (utilities + generator.gumbel(size=utilities.shape)).argmax(axis=1)
    fitted = fit_fusion(values, np.ones_like(utilities, dtype=bool), chosen, list(values))
    assert fitted.fusion.coefficients[Signal.RETRIEVER] == pytest.approx(1.5, abs=0.05)
    assert fitted.fusion.coefficients[Signal.TITLES] == pytest.approx(-0.5, abs=0.05)


def test_noise_beside_a_good_retriever_is_not_chosen() -> None:
    signals, answers = case(retriever=1.5)
    groups = fit_groups(signals, EVERYBODY, answers, Signal.LIKELIHOOD, CHEAP)
    assert groups.chosen == "retriever"
    assert groups.fitted["retriever"].fusion == RETRIEVER_ALONE
    assert groups.fitted["retriever"].gain == 0


def test_what_helps_is_chosen_and_named() -> None:
    signals, answers = case(retriever=1.0, titles=1.0)
    assert fit_groups(signals, EVERYBODY, answers, Signal.VERBALIZER, CHEAP).chosen == "retriever + signals"
    signals, answers = case(retriever=1.0, likelihood=1.5)
    groups = fit_groups(signals, EVERYBODY, answers, Signal.LIKELIHOOD, [])
    assert groups.chosen == "retriever + likelihood"
    assert set(groups.fitted) == {"retriever", "likelihood", "retriever + likelihood"}
    better = groups.fitted[groups.chosen]
    assert better.ndcg - groups.fitted["retriever"].ndcg == pytest.approx(better.gain)


def test_a_language_model_ranks_only_if_it_adds_to_the_signals_that_need_none() -> None:
    for seed in range(5):
        signals, answers = case(retriever=1.0, titles=1.0)
        signals[Signal.LIKELIHOOD] = log_softmax(np.random.default_rng(seed).normal(size=(USERS, K)))
        assert fit_groups(signals, EVERYBODY, answers, Signal.LIKELIHOOD, CHEAP).chosen == "retriever + signals"
    signals, answers = case(retriever=1.0, titles=1.0, likelihood=1.0)
    assert fit_groups(signals, EVERYBODY, answers, Signal.LIKELIHOOD, CHEAP).chosen == "all"


def test_a_language_model_worse_than_chance_is_shown_as_it_is() -> None:
    signals, answers = case(retriever=1.0, likelihood=-2.0)
    groups = fit_groups(signals, EVERYBODY, answers, Signal.LIKELIHOOD, [])
    assert groups.fitted["likelihood"].fusion.coefficients == {Signal.LIKELIHOOD: 1.0}
    assert groups.fitted["likelihood"].ndcg < 0.1


def test_one_user_decides_nothing() -> None:
    signals, answers = case(titles=9.0)
    one = {name: values[:1] for name, values in signals.items()}
    assert fit_groups(one, EVERYBODY[:1], answers[:1], Signal.LIKELIHOOD, CHEAP).chosen == "retriever"


def test_groups_survive_a_manifest() -> None:
    signals, answers = case(retriever=1.0, titles=1.0)
    groups = fit_groups(signals, EVERYBODY, answers, Signal.LIKELIHOOD, CHEAP)
    assert FusionGroups.from_json(groups.as_json()) == groups
