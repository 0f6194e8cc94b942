"""Tables and comparisons of four users' ranks, which are given by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import SplitResult
from llamarec_cli.errors import UnknownNameError, UsageError
from llamarec_cli.evaluation.metrics import all_metrics
from llamarec_cli.evaluation.paper import TWO_STAGES
from llamarec_cli.pipeline.evaluate import evaluation
from llamarec_cli.pipeline.evaluate.evaluation import Evaluation, evaluate
from llamarec_cli.pipeline.evaluate.retrievers import EvaluatedRetrievers
from llamarec_cli.ranking.fusion import RETRIEVER, SIGNALS, FittedFusion, Fusion, FusionGroups
from llamarec_cli.retrieval.candidates import Candidates

K, POOL = 2, 4
# The first two users' items are among two candidates, the third user's is in the pool.
SEED_1, SEED_2 = np.array([1, 2, 4, 9], dtype=np.int32), np.array([3, 1, 1, 9], dtype=np.int32)
SASREC = np.array([2, 2, 5, 5], dtype=np.int32)
FINAL = np.array([1, 1, 3, 9], dtype=np.int32)


def result(ranks: np.ndarray) -> SplitResult:
    return SplitResult(ranks, Candidates(np.ones((4, K), dtype=np.int32), np.ones((4, K), dtype=np.float32)))


@pytest.fixture(autouse=True)
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seeds of LRURec and one of SASRec on a data set of four users."""
    columns = {"games/lrurec": "lrurec", "games/lrurec-seed-2": "lrurec", "games/sasrec": "sasrec"}
    results = dict(zip(columns, map(result, (SEED_1, SEED_2, SASREC)), strict=True))
    monkeypatch.setattr(evaluation, "need_dataset", lambda *_: (SimpleNamespace(user_count=4), None))
    monkeypatch.setattr(evaluation, "warn_of_difference", lambda *_: None)
    monkeypatch.setattr(evaluation, "warn_of_masked_items", lambda *_: None)
    monkeypatch.setattr(evaluation, "load_retrievers", lambda *_: EvaluatedRetrievers(results, columns))


def evaluate_ranker(
    context: Context, monkeypatch: pytest.MonkeyPatch, chosen: str, compare: tuple[str, str] | None = None
) -> Evaluation:
    """Evaluate with a ranker over the first seed of LRURec."""
    fitted = {name: FittedFusion(Fusion({}), 0.5, 0.0, 0.0) for name in (RETRIEVER, SIGNALS)}
    manifest = SimpleNamespace(
        config={"dataset": "games", "retriever": "games/lrurec", "k": K, "pool": POOL},
        metrics={"fusion": FusionGroups(fitted, chosen, 4, None, K).as_json()},
    )
    monkeypatch.setattr(evaluation, "open_ranker", lambda *_: SimpleNamespace(manifest=manifest))
    monkeypatch.setattr(evaluation, "ranks_by_group", lambda *_: {RETRIEVER: SEED_1, SIGNALS: FINAL})
    return evaluate(context, "games", ranker="games/ranker", compare=compare)


def test_retrievers_alone(context: Context) -> None:
    found = evaluate(context, "games")
    assert (found.users, found.valid_users) == (4, 2)
    assert found.all_table.models == found.valid_table.models == ["lrurec", "sasrec"]
    assert found.merged() == {"lrurec": ["games/lrurec", "games/lrurec-seed-2"]}
    metrics = found.metrics("lrurec")
    assert metrics["runs"] == [all_metrics(SEED_1), all_metrics(SEED_2)]
    assert metrics["all"]["mrr@5"] == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 3 + 1 + 1) / 8)
    assert metrics["valid"]["mrr@5"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1) / 4)
    assert found.comparison is not None
    assert (found.comparison.one, found.comparison.other) == ("lrurec", "sasrec")
    assert found.comparison.differences["mrr@5"].mean == pytest.approx(
        metrics["all"]["mrr@5"] - found.metrics("sasrec")["all"]["mrr@5"]
    )
    assert found.ablation is None
    assert found.unchanged is None


def test_a_ranker_is_compared_with_the_run_it_was_fitted_with(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluate_ranker(context, monkeypatch, SIGNALS)
    assert list(found.runs) == ["lrurec", "sasrec", TWO_STAGES]
    assert found.valid.tolist() == [0, 1]
    assert found.metrics("lrurec")["valid"] == all_metrics(SEED_1[:2])
    assert found.comparison is not None
    assert (found.comparison.one, found.comparison.other) == (TWO_STAGES, "lrurec")
    assert found.comparison.differences["mrr@5"].mean == pytest.approx(
        all_metrics(FINAL)["mrr@5"] - all_metrics(SEED_1)["mrr@5"]
    )
    assert not found.comparison.identical
    assert found.unchanged is None
    assert found.ablation is not None
    in_pool = 3
    assert found.ablation.rows[1].test == pytest.approx(all_metrics(FINAL[:in_pool])["ndcg@10"])


def test_a_ranker_that_keeps_the_order_of_its_retriever(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    found = evaluate_ranker(context, monkeypatch, RETRIEVER)
    assert found.unchanged == "lrurec"
    assert found.comparison is not None
    assert found.comparison.identical
    # Asked for by name, LRURec is the mean of its runs.
    found = evaluate_ranker(context, monkeypatch, RETRIEVER, compare=("lrurec", TWO_STAGES))
    assert found.comparison is not None
    assert not found.comparison.identical


def test_models_to_compare_must_be_evaluated(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="did you mean sasrec"):
        evaluate(context, "games", compare=("sasrek", "lrurec"))
    with pytest.raises(UnknownNameError, match="llamareck"):
        evaluate_ranker(context, monkeypatch, SIGNALS, compare=("llamareck", "lrurec"))


def test_a_ranker_of_another_data_set_is_refused(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = SimpleNamespace(config={"dataset": "beauty"})
    monkeypatch.setattr(evaluation, "open_ranker", lambda *_: SimpleNamespace(manifest=manifest))
    with pytest.raises(UsageError, match="is a ranker of beauty, not of games") as raised:
        evaluate(context, "games", ranker="beauty/ranker")
    assert raised.value.hint == "llamarec evaluate --dataset beauty --ranker beauty/ranker"
