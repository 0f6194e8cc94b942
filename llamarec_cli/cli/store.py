"""`llamarec store list`, `show` and `remove`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from llamarec_cli.cli import console
from llamarec_cli.cli.session import open_store
from llamarec_cli.errors import LlamaRecError

app = typer.Typer(help="Look at and tidy the store.", no_args_is_help=True, rich_markup_mode=None)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Name = Annotated[str, typer.Argument(help="Name of an artefact, such as games/lrurec.")]


@app.command("list", epilog="Examples:\n\nllamarec store list\n\nllamarec store list --json")
def _list(as_json: _Json = False) -> None:
    """List data sets, base models and checkpoints."""
    store = open_store()
    artefacts = store.artefacts()
    for name in store.damaged():
        console.warn(f"{name} is damaged or from another version: llamarec store remove {name}")
    if as_json:
        rows = [
            {
                "name": artefact.manifest.name,
                "kind": artefact.manifest.kind,
                "bytes": artefact.manifest.bytes,
                "created": artefact.created.isoformat(timespec="seconds"),
            }
            for artefact in artefacts
        ]
        console.print_json({"artefacts": rows})
        return
    if not artefacts:
        console.say(f"The store in {store.home} is empty.")
        return
    console.print_table(
        f"Store in {store.home}",
        ["name", "kind", "size", "created"],
        [
            [
                artefact.manifest.name,
                artefact.manifest.kind,
                console.size(artefact.manifest.bytes),
                f"{artefact.created.astimezone():%Y-%m-%d %H:%M}",
            ]
            for artefact in artefacts
        ],
        numeric=["size"],
    )


@app.command("show", epilog="Examples:\n\nllamarec store show games\n\nllamarec store show games/lrurec --json")
def _show(name: _Name, as_json: _Json = False) -> None:
    """Show what an artefact is, what it was made from and what it measured."""
    artefact = open_store().open(name)
    manifest = asdict(artefact.manifest)
    if as_json:
        console.print_json(manifest | {"digest": artefact.manifest.digest})
        return
    console.print_lines(
        f"{name}: {artefact.manifest.kind}, {console.size(artefact.manifest.bytes)}, in {artefact.path}",
        f"made by: {artefact.manifest.command}",
    )
    for part in ("config", "parents", "metrics", "versions"):
        if manifest[part]:
            console.print_lines(f"{part}:", *_indented(manifest[part]))


@app.command("remove", epilog="Examples:\n\nllamarec store remove games/lrurec\n\nllamarec store remove games --yes")
def _remove(
    name: _Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Remove it even if others were made from it.")] = False,
) -> None:
    """Remove an artefact from the store, after asking."""
    store = open_store()
    if name not in store:
        store.open(name)  # raises, naming the nearest
    if (children := store.children_of(name)) and not force:
        raise LlamaRecError(
            f"{name} is needed by {', '.join(children)}.",
            f"Remove those first, or: llamarec store remove {name} --force",
        )
    if not yes and not console.confirm(f"Remove {name} from {store.home}?"):
        raise LlamaRecError(f"{name} was not removed, since nobody said yes.", f"llamarec store remove {name} --yes")
    console.say(f"Removed {name}, {console.size(store.remove(name))} freed.")


def _indented(value: dict[str, object]) -> list[str]:
    return [f"  {line}" for line in json.dumps(value, indent=2, ensure_ascii=False)[2:-2].splitlines()]
