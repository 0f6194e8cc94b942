"""`llamarec evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.options import PrecisionOption, StrategyOption
from llamarec_cli.cli.session import pipeline_context
from llamarec_cli.errors import UsageError
from llamarec_cli.outputs import need_output, written_whole

if TYPE_CHECKING:
    from llamarec_cli.evaluation.tables import MetricTable
    from llamarec_cli.pipeline.evaluate.ablation import Ablation
    from llamarec_cli.pipeline.evaluate.evaluation import Comparison, Evaluation

_REMEDY = "change --output"

_EPILOG = """Examples:

llamarec evaluate --dataset ml-100k

llamarec evaluate --dataset beauty --output beauty.md

llamarec evaluate --dataset beauty --strategy pointwise --sample 50"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("evaluate", epilog=_EPILOG)(_evaluate)


def _evaluate(
    dataset: Annotated[str, typer.Option(help="Name of the data set.", autocompletion=complete.datasets)],
    ranker: Annotated[
        str | None,
        typer.Option(help="Checkpoint; DATASET/smollm2-135m if there is one.", autocompletion=complete.rankers),
    ] = None,
    compare: Annotated[list[str] | None, typer.Option(help="A model to compare; give the option twice.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the two tables of metrics to a file: .md, .csv or .tex.")
    ] = None,
    strategy: StrategyOption = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Users that --strategy ranks; 100 by default.")] = None,
    precision: PrecisionOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure every trained model of a data set on the test split, beside the paper's figures.

    Recall, MRR and NDCG at 5 and 10, over all users (the paper's Table 1) and over those whose item is among the 20
    candidates (Table 3), with a bootstrap interval on the difference of two models. Checkpoints that differ in their
    seed alone are runs of one model: their mean is shown, and the standard deviation.

    With --strategy, a sample of those users is ranked by the language model alone, read in that way.
    """
    if strategy is not None:
        if compare or output is not None:
            raise UsageError("--compare and --output do not go with --strategy.", "Leave them out, or use --json.")
        _evaluate_strategy(dataset, strategy, ranker, sample or 100, precision, as_json)
        return
    if precision is not None or sample is not None:
        raise UsageError(
            "--precision and --sample are about --strategy.",
            f"llamarec evaluate --dataset {dataset} --strategy pointwise",
        )
    from llamarec_cli.evaluation.tables import TableFormat, write_tables
    from llamarec_cli.pipeline.evaluate.evaluation import evaluate

    if compare and len(compare) != 2:
        raise UsageError(
            "--compare takes two models.", "llamarec evaluate --dataset games --compare lrurec --compare sasrec"
        )
    form: TableFormat | None = None
    if output is not None:
        endings = [f".{one.value}" for one in TableFormat]
        if output.suffix not in endings:
            raise UsageError(f"{output} must end in {', '.join(endings)}.", "Change --output.")
        form = TableFormat(output.suffix[1:])
        need_output(output, _REMEDY)
    with pipeline_context() as context:
        result = evaluate(context, dataset, ranker=ranker, compare=(compare[0], compare[1]) if compare else None)
    if output is not None and form is not None:
        with written_whole(output, _REMEDY) as partial:
            partial.write_text(write_tables([result.all_table, result.valid_table], form), encoding="utf-8")
        console.say(f"Wrote {output}.")
    if as_json:
        comparison = result.comparison
        console.print_json(
            {
                "dataset": dataset,
                "users": result.users,
                "valid_users": result.valid_users,
                "models": {model: result.metrics(model) for model in result.runs},
                "merged": result.merged(),
                "comparison": asdict(comparison) if comparison else None,
                "ablation": asdict(result.ablation) if result.ablation else None,
                "reported": result.reported,
            }
        )
        return
    _show_table(result.all_table)
    _show_table(result.valid_table)
    for model, names_of_runs in result.merged().items():
        console.print_lines(f"{model} is the mean of {', '.join(names_of_runs)}, which differ in their seed alone.")
    if result.reported:
        _show_reported(result)
    if result.comparison:
        _show_comparison(result.comparison)
    if result.ablation:
        _show_ablation(result.ablation)


def _evaluate_strategy(
    dataset: str, strategy: str, ranker: str | None, sample: int, precision: str | None, as_json: bool
) -> None:
    from llamarec_cli.names import parse_precision
    from llamarec_cli.pipeline.evaluate.strategy import evaluate_strategy
    from llamarec_cli.strategies.registry import strategy_row

    way, computed_in = strategy_row(strategy).name, parse_precision(precision)
    with pipeline_context() as context:
        result = evaluate_strategy(context, dataset, way, ranker=ranker, sample=sample, precision=computed_in)
    if as_json:
        models = {model: {"valid": metrics} for model, metrics in result.metrics.items()}
        console.print_json({"dataset": dataset, **asdict(result), "models": models})
        return
    rows = [
        [metric, *(f"{metrics[metric]:.4f}" for metrics in result.metrics.values())]
        for metric in next(iter(result.metrics.values()))
    ]
    title = f"{result.ranker}, test, {result.sample:,} users whose item was retrieved"
    console.print_table(title, ["", *result.metrics], rows, numeric=list(result.metrics))
    found = result.difference
    unparsed = "" if result.unparsed is None else f" {result.unparsed:,} entries of the lists named no candidate."
    console.print_lines(
        f"{strategy} less retriever, NDCG@10: {found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f}); "
        f"{result.seconds_per_user:.2f} seconds a user.{unparsed}"
    )


def _show_table(table: MetricTable) -> None:
    rows = [
        [
            metric,
            *(
                f"{cell.text()}{'*' if cell.best else ' '}" + (f" ({cell.paper:.4f})" if cell.paper else "")
                for cell in cells
            ),
        ]
        for metric, cells in table.rows.items()
    ]
    title = f"{table.title} (* best; the paper's figure in parentheses)"
    console.print_table(title, ["", *table.models], rows, numeric=table.models)


def _show_reported(result: Evaluation) -> None:
    """Show the paper's Table 4 beside the model of ours with the highest NDCG@10."""
    ours = {model: result.metrics(model)["all"] for model in result.runs}
    best = max(ours, key=lambda model: ours[model]["ndcg@10"])
    models = {**result.reported, f"{best}, here": ours[best]}
    metrics = list(dict.fromkeys(metric for figures in result.reported.values() for metric in figures))
    rows = [
        [metric, *(f"{figures[metric]:.4f}" if metric in figures else "" for figures in models.values())]
        for metric in metrics
    ]
    title = f"{result.dataset}, all users: language models as others report them (the paper's Table 4), and ours"
    console.print_table(title, ["", *models], rows, numeric=list(models))


def _show_comparison(comparison: Comparison) -> None:
    console.print_table(
        f"{comparison.one} less {comparison.other}, 95 % bootstrap interval over users",
        ["", "difference", "from", "to", ""],
        [
            [
                metric,
                f"{found.mean:+.4f}",
                f"{found.low:+.4f}",
                f"{found.high:+.4f}",
                "" if found.significant else "not significant",
            ]
            for metric, found in comparison.differences.items()
        ],
        numeric=["difference", "from", "to"],
    )


def _show_ablation(ablation: Ablation) -> None:
    base = ablation.rows[0]
    rows = [
        [
            f"{row.group} (ranks)" if row.group == ablation.chosen else row.group,
            f"{row.validation:.4f}",
            console.percent(row.validation_gain, base.validation),
            f"± {console.percent(1.96 * row.validation_error, base.validation, '')}",
            f"{row.test:.4f}",
            console.percent(row.gain.mean, base.test),
            f"{console.percent(row.gain.low, base.test)} to {console.percent(row.gain.high, base.test)}",
        ]
        for row in ablation.rows
    ]
    columns = ["", "validation", "gain", "interval", "test", "gain ", "interval "]
    title = (
        "NDCG@10 of users whose item is in the pool, gain over the retriever, 95 % intervals (validation: cross-fitted)"
    )
    console.print_table(title, columns, rows, numeric=columns[1:])
    for told, found in (
        ("The language model", ablation.contribution),
        ("Its second stage alone", ablation.second_stage),
    ):
        if found is not None:
            verdict = "" if found.significant else ": no more than chance"
            console.print_lines(
                f"{told} adds {found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f}) to NDCG@10 beyond all other "
                f"signals{verdict}."
            )
