import numpy as np
import pytest

from llamarec_cli.ranking.fusion import RETRIEVER_ALONE, Fusion, FusionGroups
from llamarec_cli.ranking.fusion_fit import Available, fit_fusion, fit_groups
from llamarec_cli.ranking.signals import CHEAP, Signal, Signals
from llamarec_cli.retrieval.conditional_logit import log_softmax

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


def fit(signals: Signals, answers: np.ndarray, model: Signal | None, cheap: tuple[Signal, ...] = CHEAP, k: int = K):  # type: ignore[no-untyped-def]
    def read(places: np.ndarray) -> np.ndarray:
        assert model is not None
        return np.take_along_axis(signals[model], places, axis=1)

    others = {name: values for name, values in signals.items() if name != model}
    exists = np.ones((len(answers), K), dtype=bool)
    return fit_groups(others, exists, answers, Available(cheap=cheap, model=model), k, read)


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
    groups = fit(signals, answers, Signal.LIKELIHOOD)
    assert groups.chosen == "retriever"
    assert groups.fitted["retriever"].fusion == RETRIEVER_ALONE
    assert groups.fitted["retriever"].gain == 0


def test_what_helps_is_chosen_and_named() -> None:
    signals, answers = case(retriever=1.0, titles=1.0)
    assert fit(signals, answers, Signal.VERBALIZER).chosen == "retriever + signals"
    signals, answers = case(retriever=1.0, likelihood=1.5)
    groups = fit(signals, answers, Signal.LIKELIHOOD, ())
    assert groups.chosen == "retriever + likelihood"
    assert set(groups.fitted) == {"retriever", "likelihood", "retriever + likelihood"}
    better = groups.fitted[groups.chosen]
    assert better.ndcg - groups.fitted["retriever"].ndcg == pytest.approx(better.gain)


def test_a_language_model_ranks_only_if_it_adds_to_the_signals_that_need_none() -> None:
    for seed in range(5):
        signals, answers = case(retriever=1.0, titles=1.0)
        signals[Signal.LIKELIHOOD] = log_softmax(np.random.default_rng(seed).normal(size=(USERS, K)))
        assert fit(signals, answers, Signal.LIKELIHOOD).chosen == "retriever + signals"
    signals, answers = case(retriever=1.0, titles=1.0, likelihood=1.0)
    assert fit(signals, answers, Signal.LIKELIHOOD).chosen == "all"


def test_a_language_model_worse_than_chance_is_shown_as_it_is() -> None:
    signals, answers = case(retriever=1.0, likelihood=-2.0)
    groups = fit(signals, answers, Signal.LIKELIHOOD, ())
    assert groups.fitted["likelihood"].fusion.coefficients == {Signal.LIKELIHOOD: 1.0}
    assert groups.fitted["likelihood"].ndcg < 0.1


def test_one_user_decides_nothing() -> None:
    signals, answers = case(titles=9.0)
    one = {name: values[:1] for name, values in signals.items()}
    assert fit(one, answers[:1], Signal.LIKELIHOOD).chosen == "retriever"


def test_groups_survive_a_manifest() -> None:
    signals, answers = case(retriever=1.0, titles=1.0)
    groups = fit(signals, answers, Signal.LIKELIHOOD)
    assert FusionGroups.from_json(groups.as_json()) == groups


def test_what_reads_the_catalogue_counts_as_a_language_model() -> None:
    signals, answers = case(retriever=1.0)
    generator = np.random.default_rng(2)
    for name in ("ids", "texts"):
        signals[name] = generator.normal(size=(USERS, K))
        signals[name][np.arange(USERS), answers] += 1.0
    available = Available(("ids", "texts"), ("texts",), CHEAP, None)
    groups = fit_groups(signals, EVERYBODY, answers, available, K, lambda _: pytest.fail("nothing is read"))
    assert list(groups.fitted) == ["retriever", "without a language model", "retriever + signals"]
    assert groups.chosen == "retriever + signals"
    assert "texts" not in groups.fitted["without a language model"].fusion.coefficients
    assert groups.fitted["without a language model"].ndcg < groups.fitted["retriever + signals"].ndcg


def test_a_language_model_reads_the_best_of_the_pool_and_the_others_stay_behind() -> None:
    signals, answers = case(retriever=1.0, titles=1.0, likelihood=3.0)
    groups = fit(signals, answers, Signal.LIKELIHOOD, k=5)
    others = {name: values for name, values in signals.items() if name != Signal.LIKELIHOOD}
    asked: list[np.ndarray] = []

    def read(places: np.ndarray) -> np.ndarray:
        asked.append(places)
        return np.take_along_axis(signals[Signal.LIKELIHOOD], places, axis=1)

    order = groups.log_probabilities("all", others, EVERYBODY, read)
    first = groups.log_probabilities("retriever + signals", others, EVERYBODY, read)
    (places,) = asked
    assert (np.sort(places) == np.sort(np.argsort(-first, axis=1)[:, :5])).all()
    assert (np.sort(np.argsort(-order, axis=1)[:, :5]) == np.sort(places)).all()
    assert (np.argsort(-order, axis=1)[:, 5:] == np.argsort(-first, axis=1)[:, 5:]).all()
    assert np.exp(order).sum(axis=1) == pytest.approx(np.ones(USERS))
