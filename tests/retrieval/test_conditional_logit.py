import numpy as np
import pytest

from llamarec_cli.retrieval.conditional_logit import fit_conditional_logit, log_softmax


def test_the_log_softmax_keeps_minus_infinity() -> None:
    assert np.exp(log_softmax(np.array([0.0, 0.0, -np.inf]))) == pytest.approx([0.5, 0.5, 0])


def test_the_coefficient_of_one_signal_is_the_log_odds() -> None:
    # The candidate with signal 1 is chosen by three of four users.
    signals = np.tile(np.array([[1.0], [0.0]]), (400, 1, 1))
    answers = np.array([0, 0, 0, 1] * 100)
    (beta,) = fit_conditional_logit(signals, np.ones((400, 2), bool), answers)
    assert beta == pytest.approx(np.log(3), abs=0.02)


def test_what_no_candidate_has_is_ignored_and_coefficients_can_be_bounded() -> None:
    signals = np.tile(np.array([[1.0], [0.0], [1e9]]), (400, 1, 1))
    exists = np.tile(np.array([True, True, False]), (400, 1))
    answers = np.array([1, 1, 1, 0] * 100)
    assert fit_conditional_logit(signals, exists, answers) == pytest.approx([-np.log(3)], abs=0.02)
    assert fit_conditional_logit(signals, exists, answers, negative=False) == pytest.approx([0])


def test_without_users_coefficients_are_0() -> None:
    assert fit_conditional_logit(np.zeros((0, 3, 2)), np.zeros((0, 3), bool), np.zeros(0, int)).tolist() == [0, 0]
