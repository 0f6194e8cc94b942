"""`llamarec recommend`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.options import PrecisionOption, StrategyOption
from llamarec_cli.cli.session import pipeline_context, read_text
from llamarec_cli.data.histories import parse_history
from llamarec_cli.errors import UsageError

if TYPE_CHECKING:
    from llamarec_cli.pipeline.recommend.recommendations import Recommendations
    from llamarec_cli.pipeline.recommend.unfinished import Summary

_EPILOG = """Examples:

llamarec recommend --history hist.json

echo '["Alien (1979)"]' | llamarec recommend --history - --top 5 --json

llamarec recommend --dataset games --input users.jsonl --output recs.jsonl"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("recommend", epilog=_EPILOG)(_recommend)


def _recommend(
    history: Annotated[
        Path | None, typer.Option(help="JSON file, or - for stdin: titles or item ids, oldest first.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input", help="Many histories: JSON lines, or CSV or Parquet with a column history; - for stdin."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the lists go: .jsonl, .csv or .parquet; - for stdout.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an output that was interrupted.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the output.")] = False,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set of the history; ml-100k-1998, the starter's, by default.",
            autocompletion=complete.datasets,
        ),
    ] = None,
    ranker: Annotated[
        str | None,
        typer.Option(help="Checkpoint; DATASET/smollm2-135m by default.", autocompletion=complete.rankers),
    ] = None,
    top: Annotated[int | None, typer.Option(help="Length of the list; 10 by default.", show_default=False)] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", help="Candidates that are ranked; as many as the ranker was made for by default."),
    ] = None,
    no_fusion: Annotated[bool, typer.Option("--no-fusion", help="Order by the language model alone.")] = False,
    strategy: StrategyOption = None,
    precision: PrecisionOption = None,
    no_auto: Annotated[bool, typer.Option("--no-auto", help="Refuse missing steps instead of taking them.")] = False,
    ids: Annotated[
        bool, typer.Option("--ids", help="Show item ids in the table, also where all of its titles differ.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recommend items for one history, or for a file of them: retrieve candidates, rank them in one forward pass."""
    if (history is None) == (source is None):
        raise UsageError("Give one of --history and --input.", "llamarec recommend --history hist.json")
    if source is not None and output is None:
        raise UsageError("--output is missing.", "Give --output FILE, or --output - for stdout.")
    if source is None and (output is not None or resume or replace):
        raise UsageError("--output, --resume and --replace are about --input.", "llamarec recommend --help")
    if resume and replace:
        raise UsageError("--resume and --replace do not go together.", "Give the one that is meant.")
    # Before torch is loaded, which takes seconds.
    entries = [] if history is None else parse_history(*read_text(history))

    from llamarec_cli.names import parse_precision
    from llamarec_cli.pipeline.recommend.file import recommend_file
    from llamarec_cli.pipeline.recommend.recommender import Recommender
    from llamarec_cli.pipeline.recommend.single import recommend
    from llamarec_cli.strategies.registry import strategy_row

    asked: dict[str, Any] = {
        "dataset": dataset,
        "ranker": ranker,
        "k": k,
        "fusion": not no_fusion,
        "strategy": None if strategy is None else strategy_row(strategy).name,
        "precision": parse_precision(precision),
    }
    with pipeline_context(auto=not no_auto) as context:
        if source is not None and output is not None:
            load = partial(Recommender, context, **asked)
            summary = recommend_file(context, load, source, output, top=top, resume=resume, replace=replace)
        else:
            result = recommend(context, entries, top=top, **asked)
    if output is not None:
        _show_summary(summary, output, as_json)
        return
    if as_json:
        console.print_json(
            {
                "dataset": result.dataset,
                "ranker": result.ranker,
                "ranked_by": result.ranked_by,
                "items": result.as_json(),
                "history": result.history,
                "history_ids": result.history_ids,
                "unknown": result.unknown,
                "ambiguous": [one.as_json() for one in result.ambiguous],
            }
        )
        return
    _show(result, ids)


def _show_summary(summary: Summary, output: Path, as_json: bool) -> None:
    from llamarec_cli.data.user_files import STANDARD

    if output == STANDARD:
        console.say(f"{summary.users:,} users, {summary.errors:,} of them with an error.")
    elif as_json:
        console.print_json({"output": str(output), "users": summary.users, "errors": summary.errors})
    else:
        console.print_lines(f"{output}: {summary.users:,} users, {summary.errors:,} of them with an error.")
    if summary.errors:
        raise typer.Exit(1)


def _show(result: Recommendations, ids: bool) -> None:
    with_ids = ids or result.titles_repeat
    console.print_table(
        f"{result.ranker}, {len(result.history)} items of history",
        ["rank", *(["id"] if with_ids else []), "title", "probability"],
        [
            [str(rank), *([item.item_id] if with_ids else []), item.title, f"{item.probability:.3f}"]
            for rank, item in enumerate(result.items, start=1)
        ],
        numeric=["rank", "probability"],
    )
