"""Options that several commands take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from llamarec_cli.cli import names
from llamarec_cli.errors import LlamaRecError

StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help="Read the language model, alone, in another way: verbalizer, likelihood, generate-titles, "
        "generate-letters or pointwise.",
        autocompletion=names.ways_to_rank,
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="What the language model computes in: bf16, fp16, fp32 or nf4; by default what the device is best at.",
        autocompletion=names.precisions,
    ),
]


def need_folder_of(file: Path, option: str) -> None:
    """Raise a `LlamaRecError` if a file cannot be written where an option says; to be asked before long work."""
    if not file.parent.is_dir():
        raise LlamaRecError(f"There is no folder {file.parent}.", f"Make it, or change {option}.")
    if not os.access(file.parent, os.W_OK):
        raise LlamaRecError(f"The folder {file.parent} cannot be written.", f"Change {option}.")
