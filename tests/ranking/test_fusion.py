import numpy as np
import pytest

from llamarec_cli.ranking.fusion import RETRIEVER_ALONE, FittedFusion, Fusion, FusionGroups
from llamarec_cli.ranking.signals import Signal, Signals

USERS, POOL = 50, 20
EVERYBODY = np.ones((USERS, POOL), dtype=bool)


def signals(*names: str) -> Signals:
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=(USERS, POOL)) for name in names}


def groups(chosen: str = "all", k: int = 5) -> FusionGroups:
    coefficients = {
        "retriever": {"retriever": 1.0},
        "without a language model": {"ids": 1.0},
        "toy": {"toy": 1.0},
        "retriever + signals": {"retriever": 1.0, "titles": 0.5},
        "retriever + toy": {"retriever": 1.0, "toy": 2.0},
        "all": {"retriever": 1.0, "titles": 0.5, "toy": 3.0},
    }
    fitted = {name: FittedFusion(Fusion(one), 0.3, 0.0, 0.0) for name, one in coefficients.items()}
    return FusionGroups(fitted, chosen, USERS, "toy", k)


def test_probabilities_sum_to_1_over_the_candidates_that_exist() -> None:
    exists = np.array([[True, True, False]])
    values = np.array([[np.log(0.5), np.log(0.5), -np.inf]])
    signals = {Signal.RETRIEVER: values, Signal.TITLES: np.array([[0.0, 1.0, 0.0]])}
    found = Fusion({Signal.RETRIEVER: 2.0, Signal.TITLES: 1.0}).log_probabilities(signals, exists)
    assert np.exp(found).tolist() == [pytest.approx([1 / (1 + np.e), np.e / (1 + np.e), 0])]


def test_the_retriever_alone_keeps_its_distribution() -> None:
    exists = np.ones((1, 2), dtype=bool)
    values = np.log([[0.25, 0.75]])
    found = RETRIEVER_ALONE.log_probabilities({Signal.RETRIEVER: values}, exists)
    assert np.allclose(np.exp(found), [[0.25, 0.75]])


def test_a_gain_must_exceed_2_4_standard_errors() -> None:
    assert FittedFusion(Fusion({}), 0.3, gain=0.0241, error=0.01).beats_retriever
    at_the_threshold = FittedFusion(Fusion({}), 0.3, gain=0.024, error=0.01)
    assert at_the_threshold.threshold == pytest.approx(0.024)
    assert not at_the_threshold.beats_retriever


def test_groups_that_may_rank() -> None:
    assert groups().eligible == ["retriever + signals", "retriever + toy", "all"]
    assert groups().reads("all")
    assert not groups().reads("retriever + signals")


def test_groups_survive_a_manifest() -> None:
    assert FusionGroups.from_json(groups().as_json()) == groups()


def test_the_language_model_orders_the_top_k_and_the_rest_of_the_pool_follows() -> None:
    everything = signals("retriever", "titles", "toy")
    others = {name: values for name, values in everything.items() if name != "toy"}
    asked: list[np.ndarray] = []

    def read(places: np.ndarray) -> np.ndarray:
        asked.append(places)
        return np.take_along_axis(everything["toy"], places, axis=1)

    order = groups().log_probabilities("all", others, EVERYBODY, read)
    first = groups().log_probabilities("retriever + signals", others, EVERYBODY, read)
    (places,) = asked
    assert (np.sort(places) == np.sort(np.argsort(-first, axis=1)[:, :5])).all()
    assert (np.sort(np.argsort(-order, axis=1)[:, :5]) == np.sort(places)).all()
    assert (np.argsort(-order, axis=1)[:, 5:] == np.argsort(-first, axis=1)[:, 5:]).all()
    assert np.exp(order).sum(axis=1) == pytest.approx(np.ones(USERS))
