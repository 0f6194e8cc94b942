"""What `llamarec evaluate` prints for people."""

from collections.abc import Mapping

import numpy as np
import pytest

from llamarec_cli.cli.evaluate_tables import show_evaluation, show_strategy_evaluation
from llamarec_cli.evaluation.metrics import all_metrics
from llamarec_cli.evaluation.paper import TABLE_1, TWO_STAGES
from llamarec_cli.evaluation.significance import Difference
from llamarec_cli.evaluation.tables import metric_table
from llamarec_cli.pipeline.evaluate.ablation import Ablation, AblationRow
from llamarec_cli.pipeline.evaluate.evaluation import Comparison, Evaluation
from llamarec_cli.pipeline.evaluate.strategy import StrategyEvaluation

ONE, OTHER = np.array([1, 2, 30], dtype=np.int32), np.array([2, 1, 30], dtype=np.int32)
NOTHING, GAIN = Difference(0.0, 0.0, 0.0), Difference(0.05, 0.01, 0.09)


def evaluation(
    runs: Mapping[str, list[np.ndarray]],
    *,
    comparison: Comparison | None = None,
    ablation: Ablation | None = None,
    unchanged: str | None = None,
    dataset: str = "ml-100k",
) -> Evaluation:
    ours = {model: [all_metrics(ranks) for ranks in of_model] for model, of_model in runs.items()}
    table = metric_table("title", ours, TABLE_1.get(dataset, {}))
    return Evaluation(
        dataset=dataset,
        users=3,
        valid_users=3,
        runs=runs,
        checkpoints={model: [f"{dataset}/{model}-{run}" for run in range(len(runs[model]))] for model in runs},
        valid_runs=runs,
        valid=np.arange(3),
        all_table=table,
        valid_table=table,
        comparison=comparison,
        ablation=ablation,
        reported={},
        unchanged=unchanged,
    )


def test_an_order_that_is_kept_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = Comparison(TWO_STAGES, "ensemble", {"mrr@5": NOTHING})
    kept = {"ensemble": [ONE], TWO_STAGES: [ONE]}
    show_evaluation(evaluation(kept, comparison=comparison, unchanged="ensemble"))
    shown = capsys.readouterr().out
    assert shown.count("llamarec keeps the order of its first stage, ensemble") == 1
    assert "not significant" not in shown
    # The paper's figures for LlamaRec stay, beside one column of ours.
    assert "llamarec in the paper" in shown
    assert "(0.1524)" in shown
    assert shown.count(f"{all_metrics(ONE)['mrr@5']:.4f}* ") == 2 * 2  # in two tables, for mrr@5 and mrr@10

    show_evaluation(evaluation(kept, comparison=comparison, unchanged="ensemble", dataset="myshop"))
    shown = capsys.readouterr().out
    assert "paper" not in shown
    assert shown.count(TWO_STAGES) == 1


def test_the_mean_of_several_runs_stands_beside_the_one_whose_order_is_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = {"lrurec": [ONE, OTHER], TWO_STAGES: [ONE]}
    comparison = Comparison(TWO_STAGES, "lrurec", {"mrr@5": NOTHING})
    show_evaluation(evaluation(runs, comparison=comparison, unchanged="lrurec", dataset="myshop"))
    _, all_users, valid_users = capsys.readouterr().out.split("title (* best)")
    table, _, lines = valid_users.rpartition("┘\n")
    assert TWO_STAGES in all_users
    assert TWO_STAGES not in table
    assert lines.splitlines() == [
        "lrurec is the mean of myshop/lrurec-0, myshop/lrurec-1, which differ only in their seed.",
        "llamarec keeps the order of its first stage, one run of lrurec: both are the same.",
    ]


def test_an_order_of_its_own_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    runs = {"lrurec": [ONE], TWO_STAGES: [OTHER]}
    differences = {"mrr@5": GAIN, "mrr@10": NOTHING}
    show_evaluation(evaluation(runs, comparison=Comparison(TWO_STAGES, "lrurec", differences)))
    shown = capsys.readouterr().out
    assert "llamarec minus lrurec" in shown
    assert "+0.0500" in shown
    assert shown.count("not significant") == 1

    show_evaluation(evaluation(runs, comparison=Comparison("lrurec", "sasrec", {"mrr@5": NOTHING})))
    assert "lrurec and sasrec have the same figures for every user." in capsys.readouterr().out


def test_the_ablation_shows_the_threshold_that_decides(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        AblationRow("retriever", 0.5, 0.0, 0.0, 0.4, NOTHING),
        AblationRow("retriever + signals", 0.55, 0.05, 0.02, 0.44, GAIN),
    ]
    ablation = Ablation(rows, chosen="retriever + signals", contribution=GAIN, second_stage=NOTHING)
    show_evaluation(evaluation({"lrurec": [ONE]}, ablation=ablation))
    lines = capsys.readouterr().out.splitlines()
    retriever, signals = (next(line for line in lines if f"│ {row.group} " in line) for row in rows)
    assert "(ranks)" in signals
    # The gain, half the 95 % interval and 2.4 standard errors, over the retriever's 0.5.
    for figure in ("+10.0%", "± 7.8%", "+9.6%", "+12.5%", "+2.5% to +22.5%"):
        assert figure in signals
    assert "%" not in retriever
    assert any("threshold of 2.4 standard errors" in line for line in lines)
    assert "The language model adds +0.0500 (+0.0100 to +0.0900) to NDCG@10 beyond all other signals." in lines
    assert any(line.endswith("beyond all other signals: not significant.") for line in lines)


def test_a_strategy_beside_the_retriever(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"games/lrurec": all_metrics(ONE), "generate-titles": all_metrics(OTHER)}
    show_strategy_evaluation(StrategyEvaluation("games/r", "generate-titles", 3, metrics, GAIN, None, 1.5, 7))
    shown = capsys.readouterr().out
    assert "games/r, test, 3 users" in shown
    assert "generate-titles minus retriever, NDCG@10: +0.0500 (+0.0100 to +0.0900); 1.50 seconds per user." in shown
    assert "7 generated entries named no candidate." in shown
