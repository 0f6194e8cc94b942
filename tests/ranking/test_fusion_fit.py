import numpy as np
import pytest

from llamarec_cli.ranking.fusion import RETRIEVER_ALONE
from llamarec_cli.ranking.fusion_fit import Available, fit_groups
from llamarec_cli.ranking.signals import CHEAP, Signal, Signals
from llamarec_cli.retrieval.conditional_logit import log_softmax

USERS, K = 400, 20
EVERYBODY = np.ones((USERS, K), dtype=bool)


def case(**strength: float) -> tuple[Signals, np.ndarray]:
    """Signals of standard normal noise; the true item's value is raised by the strength of the signal."""
    generator = np.random.default_rng(0)
    answers = generator.integers(K, size=USERS)
    signals: Signals = {}
    for signal in (*Signal, "verbalizer", "likelihood"):
        values = generator.normal(size=(USERS, K))
        values[np.arange(USERS), answers] += strength.get(str(signal), 0.0)
        signals[str(signal)] = log_softmax(values)
    return signals, answers


def fit(signals: Signals, answers: np.ndarray, model: str | None, cheap: tuple[Signal, ...] = CHEAP, k: int = K):  # type: ignore[no-untyped-def]
    def read(places: np.ndarray) -> np.ndarray:
        assert model is not None
        return np.take_along_axis(signals[model], places, axis=1)

    others = {name: values for name, values in signals.items() if name != model}
    exists = np.ones((len(answers), K), dtype=bool)
    return fit_groups(others, exists, answers, Available(cheap=cheap, model=model), k, read)


def test_maximum_likelihood_finds_the_coefficients_that_made_the_choices() -> None:
    generator = np.random.default_rng(1)
    values = {signal: generator.normal(size=(20_000, K)) for signal in (Signal.RETRIEVER, Signal.TITLES)}
    utilities = 1.5 * values[Signal.RETRIEVER] - 0.5 * values[Signal.TITLES]
    chosen = (utilities + generator.gumbel(size=utilities.shape)).argmax(axis=1)
    exists = np.ones_like(utilities, dtype=bool)
    groups = fit_groups(values, exists, chosen, Available(cheap=(Signal.TITLES,)), K, lambda _: pytest.fail("read"))
    fitted = groups.fitted["retriever + signals"]
    assert fitted.fusion.coefficients[Signal.RETRIEVER] == pytest.approx(1.5, abs=0.05)
    assert fitted.fusion.coefficients[Signal.TITLES] == pytest.approx(-0.5, abs=0.05)


def test_a_signal_of_noise_is_not_chosen() -> None:
    signals, answers = case(retriever=1.5)
    groups = fit(signals, answers, "likelihood")
    assert groups.chosen == "retriever"
    assert groups.fitted["retriever"].fusion == RETRIEVER_ALONE
    assert groups.fitted["retriever"].gain == 0


def test_a_group_that_improves_on_the_retriever_is_chosen() -> None:
    signals, answers = case(retriever=1.0, titles=1.0)
    assert fit(signals, answers, "verbalizer").chosen == "retriever + signals"
    signals, answers = case(retriever=1.0, likelihood=1.5)
    groups = fit(signals, answers, "likelihood", ())
    assert groups.chosen == "retriever + likelihood"
    assert set(groups.fitted) == {"retriever", "likelihood", "retriever + likelihood"}
    better = groups.fitted[groups.chosen]
    assert better.ndcg - groups.fitted["retriever"].ndcg == pytest.approx(better.gain)


def test_a_hundred_and_fifty_users_suffice_for_a_gain_that_ndcg_does_not_show() -> None:
    signals, answers = case(retriever=1.5, titles=0.8)
    few = {name: values[:150] for name, values in signals.items()}
    groups = fit(few, answers[:150], None)
    assert groups.chosen == "retriever + signals"
    assert groups.reason == "its cross-validated log-likelihood of the true item is the highest"
    better = groups.fitted[groups.chosen]
    assert better.likelihood_gain is not None
    assert better.likelihood_error is not None
    assert better.likelihood_gain > better.likelihood_error
    assert better.gain < 2.4 * better.error


def test_of_groups_within_one_standard_error_the_cheapest_ranks() -> None:
    signals, answers = case(retriever=1.0, titles=1.0, likelihood=0.2)
    groups = fit(signals, answers, "likelihood")
    assert groups.chosen == "retriever + signals"
    assert groups.reason.startswith("it costs less than all,")
    assert "within one standard error" in groups.reason


def test_a_language_model_ranks_only_if_it_adds_to_the_signals_that_need_none() -> None:
    for seed in range(5):
        signals, answers = case(retriever=1.0, titles=1.0)
        signals["likelihood"] = log_softmax(np.random.default_rng(seed).normal(size=(USERS, K)))
        assert fit(signals, answers, "likelihood").chosen == "retriever + signals"
    signals, answers = case(retriever=1.0, titles=1.0, likelihood=1.0)
    assert fit(signals, answers, "likelihood").chosen == "all"


def test_a_language_model_alone_keeps_its_order_even_if_it_is_worse_than_chance() -> None:
    signals, answers = case(retriever=1.0, likelihood=-2.0)
    groups = fit(signals, answers, "likelihood", ())
    assert groups.fitted["likelihood"].fusion.coefficients == {"likelihood": 1.0}
    assert groups.fitted["likelihood"].ndcg < 0.1


def test_too_few_users_choose_nothing() -> None:
    signals, answers = case(titles=9.0)
    one = {name: values[:1] for name, values in signals.items()}
    assert fit(one, answers[:1], "likelihood").chosen == "retriever"


def test_a_control_leaves_out_retrievers_with_a_language_model() -> None:
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
