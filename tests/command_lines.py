"""Calls of `llamarec`: run in this process, or found in shell text and checked by the command line's own parser."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from llamarec_cli.cli.app import app


def run(*arguments: str, stdin: str | None = None, code: int = 0) -> Any:
    """Run a command and check its exit code. An exception that is a bug is raised."""
    result = CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)
    assert result.exit_code == code, result.stderr
    return result


def as_json(*arguments: str, stdin: str | None = None) -> Any:
    """Run a command that prints one JSON object."""
    return json.loads(run(*arguments, "--json", stdin=stdin).stdout)


def run_code(code: str, redirection: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, from a shell that may redirect its streams."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
        check=False,
    )


def main_with(*arguments: str) -> str:
    """Return Python code that runs a command."""
    return f"import sys; sys.argv = ['llamarec', *{arguments!r}]; from llamarec_cli.__main__ import main; main()"


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ROOT = typer.main.get_command(app)
COMMANDS = dict(commands(ROOT))


def llamarec_calls(text: str) -> list[list[str]]:
    """Find calls of llamarec in shell text: after a pipe, inside $( ), before a redirection or a comment."""
    calls = []
    for line in text.splitlines():
        for part in re.split(r"\||&&|\$\(|;", re.split(r"\s#\s", line)[0]):
            words = shlex.split(part.split(">")[0].rstrip(") "))
            if words[:1] == ["llamarec"] and len(words) > 1:
                calls.append(words[1:])
    return calls


def check(call: list[str]) -> None:
    """Parse a call as the command line does, without running it."""
    group, words = ROOT, list(call)
    while hasattr(group, "commands"):
        if words[0].startswith("--"):  # an option of the root, such as --version
            assert any(words[0] in parameter.opts for parameter in group.params), words
            return
        assert words[0] in group.commands, f"there is no command {words[0]}"
        group = group.commands[words.pop(0)]
    group.make_context(group.name, words, resilient_parsing=False)
