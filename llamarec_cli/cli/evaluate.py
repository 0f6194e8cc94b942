"""`llamarec evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.evaluate_tables import show_evaluation, show_strategy_evaluation
from llamarec_cli.cli.options import EngineOption, JsonOption, PrecisionOption, StrategyOption
from llamarec_cli.cli.session import pipeline_context
from llamarec_cli.engines.registry import DEFAULT_ENGINE, engine_row
from llamarec_cli.errors import UsageError, command
from llamarec_cli.names import parse_precision
from llamarec_cli.outputs import need_output, written_whole

if TYPE_CHECKING:
    from llamarec_cli.evaluation.tables import TableFormat
    from llamarec_cli.pipeline.evaluate.evaluation import Evaluation

_REMEDY = "change --output"
_SAMPLE = 100

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
        typer.Option(
            help="Ranker to evaluate; by default DATASET/smollm2-135m, if there is one.",
            autocompletion=complete.rankers,
        ),
    ] = None,
    compare: Annotated[list[str] | None, typer.Option(help="Model to compare; give the option twice.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Also write the two tables of metrics to a file: .md, .csv or .tex.")
    ] = None,
    strategy: StrategyOption = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help=f"Users that are ranked with --strategy; {_SAMPLE} by default.")
    ] = None,
    precision: PrecisionOption = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the trained models of a data set on the test split.

    Shows Recall, MRR and NDCG at 5 and 10 beside the paper's figures, over all users (the paper's Table 1) and over
    users whose item is among the 20 candidates (Table 3), and the difference of two models with a bootstrap interval.
    Checkpoints that differ only in their seed are runs of one model: their mean and standard deviation are shown.

    With --strategy, the language model alone ranks a sample of the users whose item is among the candidates.
    """
    where = engine_row(engine or DEFAULT_ENGINE).name
    if strategy is not None:
        if compare or output is not None:
            raise UsageError("--compare and --output cannot be used with --strategy.", "Leave them out, or use --json.")
        asked = {"ranker": ranker, "sample": sample or _SAMPLE, "precision": parse_precision(precision)}
        _evaluate_strategy(dataset, strategy, asked | {"engine": where}, as_json)
        return
    if precision is not None or sample is not None:
        raise UsageError(
            "--precision and --sample need --strategy.", command("evaluate", dataset=dataset, strategy="pointwise")
        )
    from llamarec_cli.pipeline.evaluate.evaluation import evaluate

    pair = _pair(compare)
    form = None if output is None else _format_of(output)
    with pipeline_context() as context:
        result = evaluate(context, dataset, ranker=ranker, compare=pair, engine=where)
    if output is not None and form is not None:
        _write_tables(result, output, form)
    if as_json:
        console.print_json(_as_json(result))
    else:
        show_evaluation(result)


def _pair(compare: list[str] | None) -> tuple[str, str] | None:
    if not compare:
        return None
    if len(compare) != 2:
        raise UsageError(
            "--compare takes two models.", "llamarec evaluate --dataset games --compare lrurec --compare sasrec"
        )
    return compare[0], compare[1]


def _format_of(output: Path) -> TableFormat:
    """Return the format of the output, after checking that it can be written."""
    from llamarec_cli.evaluation.tables import TableFormat

    suffixes = [f".{form.value}" for form in TableFormat]
    if output.suffix not in suffixes:
        raise UsageError(f"{output} must end in {', '.join(suffixes)}.", "Change --output.")
    need_output(output, _REMEDY)
    return TableFormat(output.suffix[1:])


def _write_tables(result: Evaluation, output: Path, form: TableFormat) -> None:
    from llamarec_cli.evaluation.tables import write_tables

    with written_whole(output, _REMEDY) as partial:
        partial.write_text(write_tables([result.all_table, result.valid_table], form), encoding="utf-8")
    console.say(f"Wrote {output}.")


def _as_json(result: Evaluation) -> dict[str, object]:
    return {
        "dataset": result.dataset,
        "users": result.users,
        "valid_users": result.valid_users,
        "models": {model: result.metrics(model) for model in result.runs},
        "merged": result.merged(),
        "comparison": asdict(result.comparison) if result.comparison else None,
        "ablation": asdict(result.ablation) if result.ablation else None,
        "reported": result.reported,
    }


def _evaluate_strategy(dataset: str, strategy: str, asked: dict[str, Any], as_json: bool) -> None:
    from llamarec_cli.pipeline.evaluate.strategy import evaluate_strategy
    from llamarec_cli.strategies.registry import strategy_row

    name = strategy_row(strategy).name
    with pipeline_context() as context:
        result = evaluate_strategy(context, dataset, name, **asked)
    if as_json:
        models = {model: {"valid": metrics} for model, metrics in result.metrics.items()}
        console.print_json({"dataset": dataset, **asdict(result), "models": models})
    else:
        show_strategy_evaluation(result)
