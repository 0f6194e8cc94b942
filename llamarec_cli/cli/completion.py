"""`llamarec completion`: the scripts in the folder `completions`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from llamarec_cli.cli import console

_EPILOG = """Examples:

llamarec completion zsh > ~/.zfunc/_llamarec

llamarec completion fish > ~/.config/fish/completions/llamarec.fish"""


class Shell(StrEnum):
    """Shells that can be completed in."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("completion", epilog=_EPILOG)(_completion)


def _completion(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the script that completes commands, options and names of the store in a shell.

    `llamarec --install-completion` puts it in its place for the shell it is called from.
    """
    console.print_lines(*script(shell).split("\n"))


def script(shell: Shell) -> str:
    """Return the script of a shell."""
    # Typer shows these scripts only for the shell it is called from.
    from typer._completion_shared import get_completion_script

    text: str = get_completion_script(prog_name="llamarec", complete_var="_LLAMAREC_COMPLETE", shell=shell.value)
    return text
