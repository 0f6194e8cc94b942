"""`llamarec doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from llamarec_cli.cli import console
from llamarec_cli.cli.session import open_store
from llamarec_cli.numbers import counted

_EPILOG = """Examples:

llamarec doctor

llamarec doctor --json"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("doctor", epilog=_EPILOG)(_doctor)


def _doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show versions, device, precision, home, disk space, cached artefacts and pending downloads."""
    from llamarec_cli.pipeline.doctor import diagnose

    found = diagnose(open_store())
    if as_json:
        console.print_json(asdict(found))
    else:
        rows = [
            *([library, version] for library, version in found.versions.items()),
            ["device", f"{found.device}, {counted(found.threads, 'thread')}"],
            *([f"precision to {verb}", precision] for verb, precision in found.precision.items()),
            ["home", f"{found.home}, set by {found.home_chosen_by}"],
            ["free disk", console.size(found.free_bytes)],
            *(
                [f"cached {kind}", f"{counted(count, 'artefact')}, {console.size(size)}"]
                for kind, (count, size) in found.cached.items()
            ),
            *([f"to fetch: {name}", what] for name, what in found.to_fetch.items()),
        ]
        console.print_table("llamarec", ["property", "value"], rows)
    for problem in found.problems:
        console.warn(problem)
    if found.problems:
        raise typer.Exit(1)
