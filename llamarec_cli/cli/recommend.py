"""`llamarec recommend`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from llamarec_cli.cli import console
from llamarec_cli.cli.session import pipeline_context, read_text
from llamarec_cli.data.histories import parse_history

_EPILOG = """Examples:

llamarec recommend --history hist.json

echo '["Alien (1979)", "Brazil"]' | llamarec recommend --history - --top 5 --json"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("recommend", epilog=_EPILOG)(_recommend)


def _recommend(
    history: Annotated[
        Path, typer.Option(help="JSON file, or - for stdin: titles or item ids, oldest first.", show_default=False)
    ],
    dataset: Annotated[
        str | None, typer.Option(help="Data set of the history; ml-100k-1998, the starter's, by default.")
    ] = None,
    ranker: Annotated[str | None, typer.Option(help="Checkpoint; DATASET/smollm2-135m by default.")] = None,
    top: Annotated[int | None, typer.Option(help="Length of the list; 10 by default.", show_default=False)] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", help="Candidates that are ranked; as many as the ranker was made for by default."),
    ] = None,
    no_fusion: Annotated[bool, typer.Option("--no-fusion", help="Order by the language model alone.")] = False,
    no_auto: Annotated[bool, typer.Option("--no-auto", help="Refuse missing steps instead of taking them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recommend items for one history: retrieve candidates, rank them in one forward pass."""
    entries = parse_history(*read_text(history))

    from llamarec_cli.pipeline.recommend import recommend

    with pipeline_context(auto=not no_auto) as context:
        result = recommend(context, entries, dataset=dataset, ranker=ranker, top=top, k=k, fusion=not no_fusion)
    if as_json:
        items = [
            {
                "rank": rank,
                "id": item.item_id,
                **{key: value for key, value in asdict(item).items() if key != "item_id"},
            }
            for rank, item in enumerate(result.items, start=1)
        ]
        console.print_json(
            {"dataset": result.dataset, "items": items, "history": result.history, "unknown": result.unknown}
        )
        return
    console.print_table(
        f"{result.ranker}, {len(result.history)} items of history",
        ["rank", "title", "probability"],
        [[str(rank), item.title, f"{item.probability:.3f}"] for rank, item in enumerate(result.items, start=1)],
        numeric=["rank", "probability"],
    )
