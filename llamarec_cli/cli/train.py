"""`llamarec train`: the commands `retriever` and `ranker`."""

from __future__ import annotations

import typer

from llamarec_cli.cli import train_ranker, train_retriever

app = typer.Typer(help="Train one of the two stages.", no_args_is_help=True, rich_markup_mode=None)

train_retriever.register(app)
train_ranker.register(app)
