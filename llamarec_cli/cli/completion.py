"""`llamarec completion`: prints the scripts that the folder `completions` holds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from llamarec_cli.cli import console

_EPILOG = """Examples:

llamarec completion zsh > ~/.zfunc/_llamarec

llamarec completion fish > ~/.config/fish/completions/llamarec.fish"""


class Shell(StrEnum):
    """Supported shells."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("completion", epilog=_EPILOG)(_completion)


def _completion(shell: Annotated[Shell, typer.Argument(help="Shell to complete in.")]) -> None:
    """Print the completion script of a shell.

    It completes commands, options and the names of artefacts in the store. `llamarec --install-completion` installs it
    for the current shell.
    """
    console.print_lines(*script(shell).split("\n"))


def script(shell: Shell) -> str:
    """Return the completion script of a shell."""
    # The public interface, `--show-completion`, knows only the shell it is called from.
    from typer._completion_shared import get_completion_script

    text: str = get_completion_script(prog_name="llamarec", complete_var="_LLAMAREC_COMPLETE", shell=shell.value)
    return text
