"""`llamarec store`: list, show, path, verify, remove, prune, export, import, push, pull."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.session import open_store
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.numbers import counted

app = typer.Typer(help="Inspect and clean up the store.", no_args_is_help=True, rich_markup_mode=None)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")]
_Names = Annotated[
    list[str] | None,
    typer.Argument(help="Names of artefacts; all of them by default.", autocompletion=complete.artefacts),
]
_Name = Annotated[
    str, typer.Argument(help="Name of an artefact, such as games/lrurec.", autocompletion=complete.artefacts)
]


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
    """Show the manifest of an artefact: configuration, parents, metrics, versions."""
    artefact = open_store().open(name)
    manifest = asdict(artefact.manifest)
    if as_json:
        console.print_json(manifest | {"digest": artefact.manifest.digest})
        return
    console.print_lines(
        f"{name}: {artefact.manifest.kind}, {console.size(artefact.manifest.bytes)}, in {artefact.path}",
        f"made by: {artefact.manifest.command}",
    )
    set_by = manifest["config"].pop("set_by", {})
    for part in ("config", "parents", "metrics", "versions"):
        if manifest[part]:
            console.print_lines(f"{part}:", *_indented(manifest[part]))
    if set_by:
        console.print_lines("set by the user (all else is default):", *(f"  {key}: {by}" for key, by in set_by.items()))


@app.command("path", epilog="Examples:\n\nllamarec store path games\n\nls $(llamarec store path games/lrurec)")
def _path(name: _Name) -> None:
    """Print the folder of an artefact."""
    console.print_lines(str(open_store().open(name).path))


@app.command("verify", epilog="Examples:\n\nllamarec store verify\n\nllamarec store verify games/lrurec")
def _verify(names: _Names = None, as_json: _Json = False) -> None:
    """Verify the checksums and contents of artefacts, and list the damaged ones."""
    from llamarec_cli.artefacts.verify import verify

    store = open_store()
    chosen = list(dict.fromkeys(names or []))
    for name in chosen:
        if name not in store:
            store.open(name)  # raises, suggesting the nearest name
    checked = chosen or sorted([*(one.manifest.name for one in store.artefacts()), *store.damaged()])
    wrong = {name: found for name in checked if (found := verify(store, name))}
    if as_json:
        console.print_json({"checked": checked, "damaged": wrong})
    for name, found in wrong.items():
        console.say(f"{name} is damaged: {', '.join(found)}.")
    if wrong:
        raise LlamaRecError(
            f"{len(wrong)} of {counted(len(checked), 'artefact')} {'is' if len(wrong) == 1 else 'are'} damaged.",
            f"llamarec store remove {' '.join(wrong)}, then create {'it' if len(wrong) == 1 else 'them'} again.",
        )
    if not as_json:
        console.print_lines(f"{counted(len(checked), 'artefact')} verified, none damaged.")


@app.command(
    "remove", epilog="Examples:\n\nllamarec store remove games/lrurec\n\nllamarec store remove games --dry-run"
)
def _remove(
    names: Annotated[
        list[str],
        typer.Argument(help="Names of artefacts, such as games/lrurec.", autocompletion=complete.artefacts),
    ],
    yes: _Yes = False,
    dry_run: _DryRun = False,
    force: Annotated[bool, typer.Option("--force", help="Remove artefacts that others were made from.")] = False,
) -> None:
    """Remove artefacts from the store, after confirmation."""
    store = open_store()
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in store:
            store.open(name)  # raises, suggesting the nearest name
        children = [child for child in store.children_of(name) if child not in names]
        if children and not force:
            raise LlamaRecError(
                f"{name} is needed by {', '.join(children)}.",
                f"Remove {'it' if len(children) == 1 else 'them'} first, or: llamarec store remove {name} --force",
            )
        store.refuse_foreign(name)
    _carry_out({name: store.path_of(name) for name in names}, yes, dry_run)


@app.command("prune", epilog="Examples:\n\nllamarec store prune --dry-run\n\nllamarec store prune --yes")
def _prune(yes: _Yes = False, dry_run: _DryRun = False) -> None:
    """Remove what can be recreated: downloads, states of interrupted trainings, evaluations of removed rankers."""
    from llamarec_cli.artefacts.downloads import known_downloads
    from llamarec_cli.store.dispensable import dispensable

    store = open_store()
    found = dispensable(store, known_downloads(store))
    plan = {f"{kind} {path.relative_to(store.home)}": path for kind, paths in found.items() for path in paths}
    if not plan:
        console.say("There is nothing to remove.")
        return
    _carry_out(plan, yes, dry_run)


def _carry_out(plan: dict[str, Path], yes: bool, dry_run: bool) -> None:
    """Show what is to be removed and its size, ask for confirmation, and remove it."""
    store = open_store()
    for what, path in plan.items():
        console.say(f"{'Would remove' if dry_run else 'To be removed'}: {what}, {console.size(_bytes(path))}")
    if dry_run:
        return
    if not yes and not sys.stdin.isatty():
        raise LlamaRecError("Nothing was removed: there is no terminal to ask for confirmation.", "Add --yes.")
    if not yes and not console.confirm(f"Remove from {store.home}?"):
        console.say("Nothing was removed.")
        raise typer.Exit(1)
    freed = sum(store.discard(path) for path in plan.values())
    console.say(f"Removed; {console.size(freed)} freed.")


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


@app.command(
    "export",
    epilog="Examples:\n\nllamarec store export games/lrurec games.tar.zst\n\n"
    "llamarec store export games/smollm2-135m games.tar.zst --no-base",
)
def _export(
    name: _Name,
    file: Annotated[Path, typer.Argument(help="The archive, ending in .tar.zst.")],
    no_base: Annotated[bool, typer.Option("--no-base", help="Leave the base model out.")] = False,
) -> None:
    """Export an artefact and its ancestors to one file, for a machine without network."""
    from llamarec_cli.store.archive import export_archive, lineage

    artefacts = lineage(open_store(), name, base_models=not no_base)
    with console.progress() as report:
        size = export_archive(artefacts, file, report)
    console.print_lines(f"{file}: {', '.join(one.manifest.name for one in artefacts)}; {console.size(size)}")


@app.command(
    "import", epilog="Examples:\n\nllamarec store import games.tar.zst\n\nllamarec store import games.tar.zst --json"
)
def _import(file: Annotated[Path, typer.Argument(help="The archive.")], as_json: _Json = False) -> None:
    """Import the artefacts of an archive into the store, after verifying every checksum."""
    from llamarec_cli.store.archive import import_archive

    with console.progress() as report:
        added = import_archive(open_store(), file, report)
    _show_added(added, as_json)


@app.command(
    "push",
    epilog="Examples:\n\nllamarec store push games/lrurec OWNER/games\n\n"
    "llamarec store push games/smollm2-135m OWNER/games --private",
)
def _push(
    name: _Name,
    repository: Annotated[str, typer.Argument(help="Repository on the Hugging Face Hub, as OWNER/NAME.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private if it is created.")] = False,
) -> None:
    """Upload an artefact and its ancestors, except base models, to the Hugging Face Hub, with a model card."""
    from llamarec_cli.store.hub import push

    console.print_lines(push(open_store(), name, repository, private=private))


@app.command(
    "pull",
    epilog="Examples:\n\nllamarec store pull OWNER/games\n\nllamarec store pull OWNER/games --revision v1.0",
)
def _pull(
    repository: Annotated[str, typer.Argument(help="Repository on the Hugging Face Hub, as OWNER/NAME.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit; the newest commit by default.")] = None,
    as_json: _Json = False,
) -> None:
    """Import the artefacts of a Hugging Face Hub repository into the store, after verifying every checksum."""
    from llamarec_cli.store.hub import pull

    _show_added(pull(open_store(), repository, revision), as_json)


def _show_added(added: list[str], as_json: bool) -> None:
    if as_json:
        console.print_json({"added": added})
    else:
        console.print_lines(f"Added: {', '.join(added)}." if added else "The store holds all of them already.")


def _indented(value: dict[str, object]) -> list[str]:
    return [f"  {line}" for line in json.dumps(value, indent=2, ensure_ascii=False)[2:-2].splitlines()]
