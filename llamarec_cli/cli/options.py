"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from llamarec_cli.cli import complete

StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help="Read the language model, alone, in another way: verbalizer, likelihood, generate-titles, "
        "generate-letters or pointwise.",
        autocompletion=complete.ways_to_rank,
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="What the language model computes in: bf16, fp16, fp32 or nf4; by default what the device is best at.",
        autocompletion=complete.precisions,
    ),
]
