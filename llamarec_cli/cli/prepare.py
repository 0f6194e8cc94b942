"""`llamarec prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamarec_cli.cli import console
from llamarec_cli.cli.session import pipeline_context

if TYPE_CHECKING:
    from llamarec_cli.data.catalogue import CatalogueRow
    from llamarec_cli.data.dataset import PreparedData

_EPILOG = """Examples:

llamarec prepare ml-100k-1998

llamarec prepare beauty --source ~/amazon --json"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("prepare", epilog=_EPILOG)(_prepare)


def _prepare(
    name: Annotated[str, typer.Argument(help="Data set: ml-100k, beauty, games or ml-100k-1998.")],
    source: Annotated[
        Path | None,
        typer.Option(help="Local raw files, a folder, an archive or one of the files, instead of fetching."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite a prepared set of that name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fetch or read a data set and make sequences of it: title drop, 5-core, leave-one-out."""
    from llamarec_cli.data.catalogue import catalogue_row
    from llamarec_cli.pipeline.prepare import prepare_dataset, warn_of_difference

    with pipeline_context() as context:
        data = prepare_dataset(context, name, source, replace=replace)
        warn_of_difference(context, name, data)
    if as_json:
        console.print_json(
            {
                "dataset": name,
                "users": data.user_count,
                "items": data.item_count,
                "interactions": data.interaction_count,
                "mean_length": round(data.mean_length, 4),
                "density": data.density,
            }
        )
        return
    _show(catalogue_row(name), data)


def _show(row: CatalogueRow, data: PreparedData) -> None:
    stated = row.counts
    console.print_table(
        row.title,
        ["", "prepared", stated.stated_by],
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
