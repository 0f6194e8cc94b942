"""`llamarec prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.session import pipeline_context
from llamarec_cli.errors import UsageError

if TYPE_CHECKING:
    from llamarec_cli.data.catalogue import CatalogueRow
    from llamarec_cli.data.dataset import PreparedData
    from llamarec_cli.data.tables import ImportReport
    from llamarec_cli.names import Repeats

_EPILOG = """Examples:

llamarec prepare ml-100k-1998

llamarec prepare myshop --interactions log.csv.gz --items catalog.csv"""


_Repeats = Annotated[
    str | None,
    typer.Option(
        help="A user's repeated interactions with an item: {repeats}. With keep, items of the history are recommended.",
        autocompletion=complete.repeats,
    ),
]
_Deduplicate = Annotated[bool, typer.Option("--deduplicate", help="The same as --repeats drop.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("prepare", epilog=_EPILOG)(_prepare)


def _prepare(
    name: Annotated[
        str,
        typer.Argument(
            help="ml-100k, beauty, games, ml-100k-1998, or a new name for a data set of your own.",
            autocompletion=complete.datasets,
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(help="Local raw files instead of fetching: a folder, an archive or one of the files."),
    ] = None,
    interactions: Annotated[
        Path | None,
        typer.Option(help="Your own interactions: CSV, TSV, JSON lines or Parquet; .gz and .zst too."),
    ] = None,
    items: Annotated[Path | None, typer.Option(help="Your own items, if the interactions have no titles.")] = None,
    user_column: Annotated[str | None, typer.Option(help="Column of users; detected by its usual names.")] = None,
    item_column: Annotated[str | None, typer.Option(help="Column of item ids; detected by its usual names.")] = None,
    time_column: Annotated[
        str | None,
        typer.Option(help="Column of times; detected by its usual names. Without one, the order of the file is used."),
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option(help='Format of the times, such as "%d/%m/%Y %H:%M"; by default detected from all values.'),
    ] = None,
    rating_column: Annotated[str | None, typer.Option(help="Column of ratings; detected by its usual names.")] = None,
    items_id_column: Annotated[
        str | None, typer.Option(help="Column of item ids in --items; detected by its usual names, and id.")
    ] = None,
    title_column: Annotated[
        str | None, typer.Option(help='Column of titles, or several joined, such as "{title} by {brand}".')
    ] = None,
    min_rating: Annotated[float | None, typer.Option(help="Drop interactions with a lower rating.")] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Minimum number of interactions of each user and item.")] = 5,
    repeats: _Repeats = None,
    deduplicate: _Deduplicate = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first invalid row.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite a data set of that name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Prepare a known data set, or a log of your own."""
    from llamarec_cli.data.catalogue import CATALOGUE
    from llamarec_cli.data.tables import TableOptions
    from llamarec_cli.pipeline.prepare import prepare_dataset, prepare_tables, warn_of_difference

    options = TableOptions(
        user_column=user_column,
        item_column=item_column,
        time_column=time_column,
        rating_column=rating_column,
        title_column=title_column,
        items_id_column=items_id_column,
        time_format=time_format,
        min_rating=min_rating,
        repeats=_resolve_repeats(repeats, deduplicate),
        strict=strict,
    )
    if interactions is None and (items or min_count != 5 or options != TableOptions()):
        hint = f"llamarec prepare {name} --interactions FILE"
        raise UsageError("--interactions is missing, which the other options apply to.", hint)
    if interactions is not None and source is not None:
        raise UsageError("--source and --interactions exclude each other.", "llamarec prepare --help")
    report: ImportReport | None = None
    with pipeline_context() as context:
        if interactions is None:
            data = prepare_dataset(context, name, source, replace=replace)
            warn_of_difference(context, name, data)
        else:
            tables = (interactions, items, options)
            data, report = prepare_tables(context, name, *tables, min_count=min_count, replace=replace)
    if as_json:
        console.print_json(_as_json(name, data, report))
        return
    _show(CATALOGUE[name], data) if report is None else _show_own(name, data, report, replace)


def _resolve_repeats(name: str | None, deduplicate: bool) -> Repeats | None:
    """Return the meaning of repeats by two options, of which one is a synonym."""
    from llamarec_cli.names import Repeats, parse_repeats

    repeats = parse_repeats(name)
    if deduplicate and repeats not in (None, Repeats.DROP):
        raise UsageError(f"--deduplicate means --repeats drop, not --repeats {repeats}.", "Leave out one of the two.")
    return Repeats.DROP if deduplicate else repeats


def _as_json(name: str, data: PreparedData, report: ImportReport | None) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "dataset": name,
        "users": data.user_count,
        "items": data.item_count,
        "interactions": data.interaction_count,
        "mean_length": round(data.mean_length, 4),
        "density": data.density,
        **({"report": asdict(report)} if report else {}),
    }


def _show(row: CatalogueRow, data: PreparedData) -> None:
    stated = row.counts
    console.print_table(
        row.title,
        ["statistic", "prepared", stated.stated_by],
        [
            ["users", f"{data.user_count:,}", f"{stated.users:,}"],
            ["items", f"{data.item_count:,}", f"{stated.items:,}"],
            ["interactions", f"{data.interaction_count:,}", stated.interactions],
            ["mean length", f"{data.mean_length:.2f}", stated.mean_length],
            ["density", f"{data.density:.0e}".replace("e-0", "e-"), stated.density],
        ],
        numeric=["prepared", stated.stated_by],
    )
    if row.note:
        console.say(row.note)


def _show_own(name: str, data: PreparedData, report: ImportReport, replaced: bool) -> None:
    lost = [
        ("invalid rows", report.bad_rows),
        ("rating too low", report.low_rated),
        ("repeated interactions", report.repeated),
        ("item without a title", report.unmatched_rows),
    ]
    more = [
        ("repeated next items", report.repeated_next_items),
        ("items without a title", report.untitled_items),
        ("invalid rows of the items", report.bad_catalogue_rows),
    ]
    console.print_table(
        name,
        ["statistic", "count"],
        [
            ["rows read", f"{report.rows:,}"],
            *([reason, f"-{count:,}"] for reason, count in lost if count),
            ["user or item too rare", f"-{report.rows - sum(count for _, count in lost) - data.interaction_count:,}"],
            ["interactions", f"{data.interaction_count:,}"],
            ["users", f"{data.user_count:,}"],
            ["items", f"{data.item_count:,}"],
            ["mean length", f"{data.mean_length:.2f}"],
            *([reason, f"{count:,}"] for reason, count in more if count),
        ],
        numeric=["count"],
    )
    for role, column in report.columns.items():
        console.say(f"Column of {role}: {column}, such as {report.column_examples[role] or '(empty)'}.")
    if "time" not in report.columns:
        console.say("No column of time was found: the order of the file is used.")
    if report.repeats is not None:
        console.say(f"Repeats of an item by a user: {report.repeats}.")
    for note in report.notes:
        console.say(note)
    for example in report.examples:
        console.say(f"Invalid row: {example}.")
    console.say(f"Next: llamarec train ranker --dataset {name}{' --replace' if replaced else ''}")
