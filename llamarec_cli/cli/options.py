"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llamarec_cli.cli import complete

StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help="Rank by the language model alone, read in this way: {strategies}.",
        autocompletion=complete.ways_to_rank,
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="What the language model computes in: {precisions}; by default what the device is best at.",
        autocompletion=complete.precisions,
    ),
]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset", help="Name of the data set; prepared first if it is missing.", autocompletion=complete.datasets
    ),
]
NameOption = Annotated[str | None, typer.Option("--name", help="Name of the checkpoint, as in games/lrurec-2.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file with hyper-parameters.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of initialisation, order and dropout.")]
MinutesOption = Annotated[
    float | None,
    typer.Option("--max-minutes", min=0.0, help="Stop training at the first validation after so long."),
]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Overwrite a checkpoint of that name.")]
NoAutoOption = Annotated[bool, typer.Option("--no-auto", help="Refuse missing steps instead of taking them.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
