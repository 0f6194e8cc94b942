"""Values worked out by hand: ranks 1, 3, 6 and 40 of four users."""

import math

import numpy as np
import pytest

from llamarec_cli.evaluation.metrics import all_metrics, mrr_at, ndcg_at, ranks_of_answers, recall_at
from llamarec_cli.evaluation.paper import TABLE_1, TABLE_3, TWO_STAGES

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


def test_nobody_gives_zero() -> None:
    assert set(all_metrics(np.array([], dtype=np.int32)).values()) == {0.0}


def test_all_missed_gives_zero() -> None:
    assert set(all_metrics(np.array([11, 999])).values()) == {0.0}


def test_names_are_those_of_the_paper_tables() -> None:
    for table in (TABLE_1, TABLE_3):
        for models in table.values():
            for figures in models.values():
                assert list(figures) == list(all_metrics(RANKS))


def test_table_1_is_table_3_scaled_by_the_share_of_retrieved_users() -> None:
    # Both tables show the same ranks, so their quotient is Recall@20 whichever metric it is taken from. That catches
    # a figure copied wrongly. It holds for LlamaRec's columns; see paper.py for the LRU column of ML-100k.
    for dataset, models in TABLE_1.items():
        valid = TABLE_3[dataset][TWO_STAGES]
        quotients = [figure / valid[name] for name, figure in models[TWO_STAGES].items()]
        assert max(quotients) - min(quotients) < 0.0005, dataset


def test_ties_are_never_in_favour_of_the_answer() -> None:
    scores = np.array([[0.1, 0.5, 0.5, 0.2], [0.25, 0.25, 0.25, 0.25]])
    assert ranks_of_answers(scores, np.array([1, 0])).tolist() == [2, 4]


def test_what_is_not_a_number_is_never_a_hit() -> None:
    assert ranks_of_answers(np.full((1, 4), np.nan), np.array([0])).tolist() == [4]
