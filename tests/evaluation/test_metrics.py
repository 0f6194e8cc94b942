"""Metrics computed by hand for four users with the ranks 1, 3, 6 and 40."""

import math

import numpy as np
import pytest

from llamarec_cli.evaluation.metrics import all_metrics, mrr_at, ndcg_at, ranks_of_answers, recall_at

RANKS = np.array([1, 3, 6, 40])


def test_recall() -> None:
    assert recall_at(RANKS, 5) == 2 / 4
    assert recall_at(RANKS, 10) == 3 / 4
    assert recall_at(RANKS, 1) == 1 / 4


def test_mrr() -> None:
    assert mrr_at(RANKS, 5) == pytest.approx((1 + 1 / 3) / 4)
    assert mrr_at(RANKS, 10) == pytest.approx((1 + 1 / 3 + 1 / 6) / 4)


def test_ndcg() -> None:
    # log2(1 + 1) = 1 and log2(3 + 1) = 2.
    assert ndcg_at(RANKS, 5) == pytest.approx((1 + 1 / 2) / 4)
    assert ndcg_at(RANKS, 10) == pytest.approx((1 + 1 / 2 + 1 / math.log2(7)) / 4)


def test_the_cutoff_itself_counts() -> None:
    assert recall_at(np.array([10, 11]), 10) == 1 / 2
    assert mrr_at(np.array([10, 11]), 10) == pytest.approx(1 / 20)


def test_no_users_give_zero() -> None:
    assert set(all_metrics(np.array([], dtype=np.int32)).values()) == {0.0}


def test_users_whose_item_is_missed_give_zero() -> None:
    assert set(all_metrics(np.array([11, 999])).values()) == {0.0}


def test_the_answer_ranks_behind_candidates_of_the_same_score() -> None:
    scores = np.array([[0.1, 0.5, 0.5, 0.2], [0.25, 0.25, 0.25, 0.25]])
    assert ranks_of_answers(scores, np.array([1, 0])).tolist() == [2, 4]


def test_nan_scores_are_never_a_hit() -> None:
    assert ranks_of_answers(np.full((1, 4), np.nan), np.array([0])).tolist() == [4]
