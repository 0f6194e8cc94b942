"""What `llamarec evaluate` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamarec_cli.cli import console

if TYPE_CHECKING:
    from llamarec_cli.evaluation.significance import Difference
    from llamarec_cli.evaluation.tables import Cell, MetricTable
    from llamarec_cli.pipeline.evaluate.ablation import Ablation, AblationRow
    from llamarec_cli.pipeline.evaluate.evaluation import Comparison, Evaluation
    from llamarec_cli.pipeline.evaluate.strategy import StrategyEvaluation

# Half the width of a 95 % interval, in standard errors.
_HALF_WIDTH = 1.96


def show_evaluation(result: Evaluation) -> None:
    """Print the tables of metrics, the comparison of two models, and the ablation."""
    from llamarec_cli.evaluation.paper import TWO_STAGES

    kept = result.unchanged
    # With several seeds the column of the first stage is their mean, and the order that is kept is that of one of them.
    one_run = kept is not None and len(result.runs[kept]) == 1
    _show_metrics(result.all_table, repeated=TWO_STAGES if one_run else None)
    _show_metrics(result.valid_table, repeated=TWO_STAGES if kept else None)
    for model, names in result.merged().items():
        console.print_lines(f"{model} is the mean of {', '.join(names)}, which differ only in their seed.")
    if kept:
        which = kept if one_run else f"one run of {kept}"
        console.print_lines(f"{TWO_STAGES} keeps the order of its first stage, {which}: both are the same.")
    if result.reported:
        _show_reported(result)
    if comparison := result.comparison:
        same = {comparison.one, comparison.other} == {kept, TWO_STAGES} and (one_run or comparison.identical)
        if not same:
            _show_comparison(comparison)
    if result.ablation:
        _show_ablation(result.ablation)


def show_strategy_evaluation(result: StrategyEvaluation) -> None:
    """Print the metrics of a strategy beside the retriever's."""
    rows = [
        [metric, *(f"{metrics[metric]:.4f}" for metrics in result.metrics.values())]
        for metric in next(iter(result.metrics.values()))
    ]
    title = f"{result.ranker}, test, {result.sample:,} users whose item was retrieved"
    console.print_table(title, ["", *result.metrics], rows, numeric=list(result.metrics))
    unparsed = "" if result.unparsed is None else f" {result.unparsed:,} generated entries named no candidate."
    console.print_lines(
        f"{result.strategy} minus retriever, NDCG@10: {_with_interval(result.difference)}; "
        f"{result.seconds_per_user:.2f} seconds per user.{unparsed}"
    )


def _show_metrics(table: MetricTable, repeated: str | None) -> None:
    """Print a table of metrics.

    Args:
        table: The table.
        repeated: Model with the figures of another column; only the paper's figures are printed for it, if any.
    """
    rows = {metric: dict(zip(table.models, cells, strict=True)) for metric, cells in table.rows.items()}
    columns = {model: model for model in table.models if model != repeated}
    if repeated and any(cells[repeated].paper is not None for cells in rows.values()):
        columns[repeated] = f"{repeated} in the paper"
    texts = [
        [metric, *(_paper(cells[model]) if model == repeated else _ours(cells[model]) for model in columns)]
        for metric, cells in rows.items()
    ]
    legend = "* best; the paper's figure in parentheses" if table.has_paper else "* best"
    names = list(columns.values())
    console.print_table(f"{table.title} ({legend})", ["", *names], texts, numeric=names)


def _ours(cell: Cell) -> str:
    text = f"{cell.text()}{'*' if cell.best else ' '}"
    return text if cell.paper is None else f"{text} {_paper(cell)}"


def _paper(cell: Cell) -> str:
    return "" if cell.paper is None else f"({cell.paper:.4f})"


def _show_reported(result: Evaluation) -> None:
    """Print the paper's Table 4 beside the evaluated model with the highest NDCG@10."""
    ours = {model: result.metrics(model)["all"] for model in result.runs}
    best = max(ours, key=lambda model: ours[model]["ndcg@10"])
    models = {**result.reported, f"{best}, here": ours[best]}
    metrics = list(dict.fromkeys(metric for figures in result.reported.values() for metric in figures))
    rows = [
        [metric, *(f"{figures[metric]:.4f}" if metric in figures else "" for figures in models.values())]
        for metric in metrics
    ]
    title = f"{result.dataset}, all users: recommenders with a language model (the paper's Table 4) and the best here"
    console.print_table(title, ["", *models], rows, numeric=list(models))


def _show_comparison(comparison: Comparison) -> None:
    one, other = comparison.one, comparison.other
    if comparison.identical:
        console.print_lines(f"{one} and {other} have the same figures for every user.")
        return
    rows = [
        [
            metric,
            f"{found.mean:+.4f}",
            f"{found.low:+.4f}",
            f"{found.high:+.4f}",
            "" if found.significant else "not significant",
        ]
        for metric, found in comparison.differences.items()
    ]
    title = f"{one} minus {other}, 95 % bootstrap interval over users"
    console.print_table(title, ["", "difference", "from", "to", ""], rows, numeric=["difference", "from", "to"])


def likelihood(gain: float | None, error: float | None) -> str:
    """Return a gain of log-likelihood with its standard error; a dash for a group that may not rank."""
    return "-" if gain is None or error is None else f"{gain:+.4f} ± {error:.4f}"


def _show_ablation(ablation: Ablation) -> None:
    from llamarec_cli.ranking.fusion import EVERYTHING, SIGNALS

    base, *groups = ablation.rows
    rows = [[_name(base, ablation), f"{base.validation:.4f}", "", "", "", f"{base.test:.4f}", "", ""]]
    rows += [
        [
            _name(row, ablation),
            f"{row.validation:.4f}",
            console.percent(row.validation_gain, base.validation),
            f"± {console.percent(_HALF_WIDTH * row.validation_error, base.validation, '')}",
            likelihood(row.likelihood_gain, row.likelihood_error),
            f"{row.test:.4f}",
            console.percent(row.gain.mean, base.test),
            f"{console.percent(row.gain.low, base.test)} to {console.percent(row.gain.high, base.test)}",
        ]
        for row in groups
    ]
    columns = ["", "validation", "gain", "interval", "log-likelihood", "test", "test gain", "test interval"]
    title = "NDCG@10 of users whose item is in the pool; gains over the retriever, 95 % intervals"
    console.print_table(title, columns, rows, numeric=columns[1:])
    if ablation.reason:
        console.print_lines(f"{ablation.chosen} ranks: {ablation.reason}.")
    for part, found in (
        ("The language model", ablation.contribution),
        ("Its second stage alone", ablation.second_stage),
    ):
        if found is not None:
            verdict = "" if found.significant else ": not significant"
            place = "" if ablation.chosen in (SIGNALS, EVERYTHING) else ", in an order that does not rank here"
            console.print_lines(
                f"{part} adds {_with_interval(found)} to NDCG@10 beyond all other signals{place}{verdict}."
            )


def _name(row: AblationRow, ablation: Ablation) -> str:
    return f"{row.group} (ranks)" if row.group == ablation.chosen else row.group


def _with_interval(found: Difference) -> str:
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
