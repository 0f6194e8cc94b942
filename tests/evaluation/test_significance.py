import numpy as np
import pytest

from llamarec_cli.evaluation.significance import paired_bootstrap


def test_the_interval_is_near_the_normal_one() -> None:
    generator = np.random.default_rng(0)
    one = generator.normal(0.1, 1.0, size=2000)
    found = paired_bootstrap(one, np.zeros(2000))
    error = 1.96 * one.std(ddof=1) / np.sqrt(2000)
    assert found.mean == pytest.approx(one.mean())
    assert found.low == pytest.approx(one.mean() - error, abs=0.006)
    assert found.high == pytest.approx(one.mean() + error, abs=0.006)


def test_variance_shared_by_both_models_cancels_out() -> None:
    shared = np.random.default_rng(0).normal(size=500) * 100
    found = paired_bootstrap(shared + 0.01, shared)
    assert found.significant
    assert found.low == pytest.approx(0.01)


def test_equal_models_do_not_differ() -> None:
    same = np.random.default_rng(0).random(50)
    assert not paired_bootstrap(same, same).significant


def test_the_interval_depends_only_on_the_seed() -> None:
    one, other = np.random.default_rng(0).random((2, 50))
    assert paired_bootstrap(one, other) == paired_bootstrap(one, other)
    assert paired_bootstrap(one, other) != paired_bootstrap(one, other, seed=1)


def test_no_users_and_different_users_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        paired_bootstrap(np.empty(0), np.empty(0))
    with pytest.raises(ValueError, match="same users"):
        paired_bootstrap(np.ones(2), np.ones(3))
