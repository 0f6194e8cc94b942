"""`llamarec recommend`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.options import EngineOption
from llamarec_cli.cli.session import pipeline_context, read_text
from llamarec_cli.data.histories import parse_history
from llamarec_cli.engines.registry import DEFAULT_ENGINE, engine_row
from llamarec_cli.errors import UsageError
from llamarec_cli.pipeline.recommend.options import RecommendOptions, describe

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


def _option(name: str, *flags: str, more: str = "", **settings: Any) -> Any:
    """Return the command's option for a field of `RecommendOptions`."""
    return typer.Option(*flags, help=describe(name) + more, show_default=False, **settings)


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
        Path | None, typer.Option(help="File for the lists: .jsonl, .csv or .parquet; - for stdout.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted output.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the output.")] = False,
    engine: EngineOption = None,
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
    top: Annotated[int | None, _option("top")] = None,
    k: Annotated[int | None, _option("k", "--k")] = None,
    no_fusion: Annotated[
        bool, typer.Option("--no-fusion", help="Rank by the language model alone, without the fusion.")
    ] = False,
    strategy: Annotated[
        str | None, _option("strategy", more=" One of {strategies}.", autocompletion=complete.all_strategies)
    ] = None,
    precision: Annotated[
        str | None, _option("precision", more=" One of {precisions}.", autocompletion=complete.precisions)
    ] = None,
    no_auto: Annotated[bool, typer.Option("--no-auto", help="Refuse missing steps instead of taking them.")] = False,
    ids: Annotated[
        bool, typer.Option("--ids", help="Show item ids in the table, even if all titles of the list are unique.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recommend items for one history, or a file of them.

    The first stage retrieves candidates, the second orders them; a language model ranks in one forward pass.
    """
    options = RecommendOptions(top=top, k=k, strategy=strategy, precision=precision, fusion=not no_fusion)
    if (history is None) == (source is None):
        raise UsageError("Give one of --history and --input.", "llamarec recommend --history hist.json")
    if history is not None:
        if output is not None or engine is not None or resume or replace:
            raise UsageError("--output, --engine, --resume and --replace need --input.", "llamarec recommend --help")
        _recommend_one(history, dataset, ranker, options, not no_auto, ids, as_json)
    elif source is not None:
        if output is None:
            raise UsageError("--output is missing.", "Give --output FILE, or --output - for stdout.")
        if resume and replace:
            raise UsageError("--resume and --replace exclude each other.", "Give only one of them.")
        engine = engine_row(engine or DEFAULT_ENGINE).name
        with _resumable(source, output, replace), pipeline_context(auto=not no_auto) as context:
            from llamarec_cli.pipeline.recommend.file import recommend_file
            from llamarec_cli.pipeline.recommend.worker import RecommendSpec

            spec = RecommendSpec(context.store.home, dataset, ranker, options)
            summary = recommend_file(context, spec, source, output, engine=engine, resume=resume, replace=replace)
        _show_summary(summary, output, as_json)


def _recommend_one(
    path: Path,
    dataset: str | None,
    ranker: str | None,
    options: RecommendOptions,
    auto: bool,
    ids: bool,
    as_json: bool,
) -> None:
    # Before torch is loaded, which takes seconds.
    history = parse_history(*read_text(path))

    from llamarec_cli.pipeline.recommend.recommender import Recommender

    with pipeline_context(auto=auto) as context:
        result = Recommender(context, dataset, ranker, options).recommend(history)
    if as_json:
        console.print_json(result.as_json())
    else:
        _show(result, ids)


@contextmanager
def _resumable(source: Path, output: Path, replace: bool) -> Iterator[None]:
    """Let an interrupt say how to continue, where that is possible."""
    try:
        yield
    except KeyboardInterrupt:
        if "-" in (str(source), str(output)):
            raise
        instead = " instead of --replace" if replace else ""
        raise KeyboardInterrupt(f"Repeat the command with --resume{instead} to continue.") from None


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
