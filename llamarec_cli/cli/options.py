"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llamarec_cli.cli import complete

StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help="Rank by the language model alone, with a strategy: {strategies}.",
        autocompletion=complete.all_strategies,
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine", help="Where a language model ranks many users: {engines}.", autocompletion=complete.engines
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Precision of the language model: {precisions}; by default the best for the device.",
        autocompletion=complete.precisions,
    ),
]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset", help="Name of the data set; prepared first if it is missing.", autocompletion=complete.datasets
    ),
]
NameOption = Annotated[str | None, typer.Option("--name", help="Name of the new checkpoint, such as games/lrurec-2.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file with hyper-parameters.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of initialisation, data order and dropout.")]
MinutesOption = Annotated[
    float | None,
    typer.Option("--max-minutes", min=0.0, help="Stop training at the first validation after this many minutes."),
]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Overwrite an existing checkpoint of that name.")]
NoAutoOption = Annotated[bool, typer.Option("--no-auto", help="Fail on a missing step instead of running it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
