"""`llamarec recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamarec_cli.cli import console, names
from llamarec_cli.cli.session import pipeline_context, read_text
from llamarec_cli.data.histories import parse_history
from llamarec_cli.errors import UsageError

if TYPE_CHECKING:
    from llamarec_cli.pipeline.recommend import Recommendations

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
            help="Data set of the history; ml-100k-1998, the starter's, by default.", autocompletion=names.datasets
        ),
    ] = None,
    ranker: Annotated[
        str | None, typer.Option(help="Checkpoint; DATASET/smollm2-135m by default.", autocompletion=names.rankers)
    ] = None,
    top: Annotated[int | None, typer.Option(help="Length of the list; 10 by default.", show_default=False)] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", help="Candidates that are ranked; as many as the ranker was made for by default."),
    ] = None,
    no_fusion: Annotated[bool, typer.Option("--no-fusion", help="Order by the language model alone.")] = False,
    no_auto: Annotated[bool, typer.Option("--no-auto", help="Refuse missing steps instead of taking them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recommend items for one history, or for a file of them: retrieve candidates, rank them in one forward pass."""
    if (history is None) == (source is None):
        raise UsageError("Give one of --history and --input.", "llamarec recommend --history hist.json")
    if source is not None:
        _recommend_file(source, output, resume, replace, dataset, ranker, top, k, no_fusion, no_auto, as_json)
        return
    if output is not None or resume or replace:
        raise UsageError("--output, --resume and --replace are about --input.", "llamarec recommend --help")
    assert history is not None
    entries = parse_history(*read_text(history))

    from llamarec_cli.pipeline.recommend import recommend

    with pipeline_context(auto=not no_auto) as context:
        result = recommend(context, entries, dataset=dataset, ranker=ranker, top=top, k=k, fusion=not no_fusion)
    if as_json:
        console.print_json(
            {
                "dataset": result.dataset,
                "items": result.as_json(),
                "history": result.history,
                "unknown": result.unknown,
            }
        )
        return
    _show(result)


def _recommend_file(
    source: Path,
    output: Path | None,
    resume: bool,
    replace: bool,
    dataset: str | None,
    ranker: str | None,
    top: int | None,
    k: int | None,
    no_fusion: bool,
    no_auto: bool,
    as_json: bool,
) -> None:
    if output is None:
        raise UsageError("--output is missing.", "Give --output FILE, or --output - for stdout.")
    from llamarec_cli.data.user_files import STANDARD
    from llamarec_cli.pipeline.recommend import Recommender
    from llamarec_cli.pipeline.recommend_file import recommend_file

    with pipeline_context(auto=not no_auto) as context:
        recommender = Recommender(context, dataset, ranker, k=k, fusion=not no_fusion)
        summary = recommend_file(context, recommender, source, output, top=top, resume=resume, replace=replace)
    if output == STANDARD:
        console.say(f"{summary.users:,} users, {summary.errors:,} of them with an error.")
    elif as_json:
        console.print_json({"output": str(output), "users": summary.users, "errors": summary.errors})
    else:
        console.print_lines(f"{output}: {summary.users:,} users, {summary.errors:,} of them with an error.")
    if summary.errors:
        raise typer.Exit(1)


def _show(result: Recommendations) -> None:
    console.print_table(
        f"{result.ranker}, {len(result.history)} items of history",
        ["rank", "title", "probability"],
        [[str(rank), item.title, f"{item.probability:.3f}"] for rank, item in enumerate(result.items, start=1)],
        numeric=["rank", "probability"],
    )
