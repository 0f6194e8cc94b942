"""The `llamarec` command: assembles the commands, and is the only place that turns errors into exit codes.

Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted. An exception that is neither a `LlamaRecError` nor an
error of the file system is a bug and keeps its traceback.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from llamarec_cli import __version__
from llamarec_cli.cli import bench, completion, console, doctor, evaluate, prepare, recommend, store, train
from llamarec_cli.cli.choices import fill_help
from llamarec_cli.cli.streams import prepare_streams
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.failures import file_failure, memory_failure
from llamarec_cli.interrupts import EXIT_CODE, while_working
from llamarec_cli.numbers import problem_with

_OBJECTS_BETWEEN_COLLECTIONS = 100_000


class _ErrorBoundary(TyperGroup):
    """The root command. All commands run inside its `invoke`, after a check of the numbers they are given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for command in _leaves(self):
            fill_help(command)
            command.callback = _with_checked_numbers(command)

    def invoke(self, ctx: Any) -> Any:
        try:
            with while_working():
                result = super().invoke(ctx)
                # A failure to write is reported here; at exit Python would ignore it.
                sys.stdout.flush()
                return result
        except LlamaRecError as error:
            console.show_error(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interrupt:
            # A verb that continues in another way raises the interrupt again with a sentence of its own.
            console.say(f"Interrupted. {str(interrupt) or 'Repeat the command to continue.'}")
            raise typer.Exit(EXIT_CODE) from None
        except BrokenPipeError:
            _discard_output()
            raise typer.Exit(0) from None
        except Exception as error:
            # A file that cannot be used, or too little memory, is no bug, wherever in the program it was met.
            if failure := file_failure(error) or memory_failure(error):
                console.show_error(failure)
                raise typer.Exit(failure.exit_code) from error
            raise


def _leaves(group: Any) -> Iterator[Any]:
    """Yield all commands of a group and its subgroups."""
    for command in group.commands.values():
        if hasattr(command, "commands"):
            yield from _leaves(command)
        else:
            yield command


def _with_checked_numbers(command: Any) -> Callable[..., Any]:
    """Return a command's callback that first refuses numbers which are not finite or too large."""
    callback, flags = command.callback, {parameter.name: parameter.opts[-1] for parameter in command.params}

    @wraps(callback)
    def checked(**values: Any) -> Any:
        for name, value in values.items():
            if problem := problem_with(value):
                raise UsageError(f"{flags.get(name, name)} {problem}.", "Give another number.")
        return callback(**values)

    return checked


def _discard_output() -> None:
    """Send the rest of stdout to the null device: its reader, such as `head`, has closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=_ErrorBoundary,
    name="llamarec",
    help="Two-stage recommendation: a sequential recommender retrieves, a language model ranks in one forward pass.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def _print_version(value: bool) -> None:
    if value:
        console.print_lines(f"llamarec {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


prepare.register(app)
app.add_typer(train.app, name="train")
recommend.register(app)
evaluate.register(app)
app.add_typer(bench.app, name="bench")
app.add_typer(store.app, name="store")
doctor.register(app)
completion.register(app)


def main() -> None:
    """Run the command line as `llamarec`, however it was called: completion depends on the name."""
    # Objects that torch and transformers create on import are never freed. Collecting garbage among them, while they
    # are created and again at exit, takes 1.5 of the 6 seconds of a cold start with a language model.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    prepare_streams()
    try:
        try:
            app(prog_name="llamarec")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        sys.exit(0)
    except LlamaRecError as error:  # raised before any command runs, such as by --help
        console.show_error(error)
        sys.exit(error.exit_code)
    finally:
        gc.freeze()
