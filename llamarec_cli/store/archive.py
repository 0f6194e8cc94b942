"""Artefacts in one file, to be carried to a machine without network: `store export` and `store import`.

An archive is a zstandard-compressed tar of artefact folders as they lie in the store: the one that was asked for and
whatever it was made from. Nothing in an archive is trusted: `unpacking` bounds what is read of it, members may only be
plain files of known folders, and every digest is computed before a folder is renamed into the store.
"""

from __future__ import annotations

import tarfile
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import zstandard

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.failures import file_failures
from llamarec_cli.outputs import need_output, written_whole
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.store.manifest import MANIFEST_FILE, Kind, read_manifest, sha256_of
from llamarec_cli.store.registry import Artefact, Store
from llamarec_cli.store.unpacking import unpack

ENDING = ".tar.zst"
# Parents of one artefact, and generations of them: a ranker over an ensemble has four.
_MOST_ANCESTORS = 64
_REMEDY = "give another place"
_HOSTILE = "Do not use this, and ask where it came from."


def lineage(store: Store, name: str, *, base_models: bool = True) -> list[Artefact]:
    """Return an artefact and all it was made from that the store holds, parents first.

    Args:
        store: The store.
        name: Name of the artefact.
        base_models: Whether base models come too; they are large, and can be fetched again.

    Raises:
        LlamaRecError: It, or one it was made from, is missing or damaged.
    """
    found: dict[str, Artefact] = {}
    waiting = [name]
    while waiting:
        artefact = store.open(waiting.pop())
        found[artefact.manifest.name] = artefact
        # A base model from a folder or from the Hub lies elsewhere.
        waiting += [one for one in artefact.manifest.parents if one not in found and is_name(store, one)]
    ordered = _parents_first(list(found.values()))
    return [one for one in ordered if base_models or one.manifest.kind is not Kind.BASE_MODEL]


def is_name(store: Store, text: str) -> bool:
    """Tell whether the store holds something under a text that may not even be a well-formed name."""
    try:
        return text in store
    except LlamaRecError:
        return False


def export_archive(artefacts: list[Artefact], path: Path, report: Reporter = silent) -> int:
    """Write artefacts to an archive and return its size in bytes.

    The same artefacts give the same bytes: members are in order, and times and owners are left out.

    Raises:
        LlamaRecError: The archive exists, or cannot be written.
    """
    if not path.name.endswith(ENDING):
        raise LlamaRecError(f"{path} does not end in {ENDING}.", f"Give a name such as {path.name}{ENDING}.")
    need_output(path, _REMEDY)
    if path.is_file():
        raise LlamaRecError(f"{path} is there already.", "Give another name, or remove it first.")
    files = [file for one in artefacts for file in sorted(one.path.rglob("*")) if file.is_file()]
    root = artefacts[0].path.parent
    with (
        written_whole(path, _REMEDY) as partial,
        partial.open("wb") as raw,
        zstandard.ZstdCompressor(write_checksum=True).stream_writer(raw) as packed,
        # Files that share their bytes on this disk are files of their own in the archive.
        tarfile.open(fileobj=packed, mode="w|", dereference=True) as archive,
    ):
        for number, file in enumerate(files, start=1):
            archive.add(file, arcname=file.relative_to(root).as_posix(), filter=_anonymous)
            report(Progress(f"pack {path.name}", number, len(files)))
    return path.stat().st_size


def import_archive(store: Store, path: Path, report: Reporter = silent) -> list[str]:
    """Take the artefacts of an archive into the store, and return the names of those that were not there yet.

    Raises:
        LlamaRecError: It is no archive, holds something that has no place in one, is damaged, or the store holds
            another artefact under one of its names.
    """
    with file_failures(path, "Check the path."):
        if not path.is_file():
            raise LlamaRecError(f"There is no file {path}.", "Check the path.")
    with store.scratch() as folder:
        unpack(path, folder, report)
        return adopt_all(store, folder)


def adopt_all(store: Store, folder: Path) -> list[str]:
    """Check all artefact folders inside a folder, and take those into the store that it does not hold yet.

    Args:
        store: The store.
        folder: Holds artefact folders; they are moved out of it.

    Raises:
        LlamaRecError: One is damaged or its own ancestor, or the store holds another under the same name.
    """
    found = [Artefact(one, read_manifest(one)) for one in sorted(folder.iterdir()) if (one / MANIFEST_FILE).is_file()]
    if not found:
        raise LlamaRecError("There is no artefact in it.", "Was it made by llamarec store export or push?")
    # Whoever looks into the store meanwhile never finds a child alone.
    ordered = _parents_first(found)
    for artefact in ordered:
        _check(store, artefact)
    added: list[str] = []
    for artefact in ordered:
        name = artefact.manifest.name
        with store.making(name, lambda _: None):
            if name not in store:
                store.adopt(artefact.path)
                added.append(name)
    return added


def _check(store: Store, artefact: Artefact) -> None:
    manifest = artefact.manifest
    if store.path_of(manifest.name).name != artefact.path.name:
        raise LlamaRecError(
            f"A folder called {artefact.path.name} says that it is {manifest.name}.", "Export it again."
        )
    there = {file.relative_to(artefact.path).as_posix() for file in artefact.path.rglob("*") if file.is_file()}
    if there != {MANIFEST_FILE, *manifest.files}:
        raise LlamaRecError(f"{manifest.name} is damaged: its files are not those of its manifest.", "Export it again.")
    for name, record in manifest.files.items():
        if sha256_of(artefact.path / name) != record.sha256:
            raise LlamaRecError(
                f"{manifest.name} is damaged: {name} is not what its manifest says.", "Export it again."
            )
    if manifest.name in store and store.open(manifest.name).manifest.digest != manifest.digest:
        raise LlamaRecError(
            f"The store holds another {manifest.name} than the one to be taken in.",
            f"llamarec store remove {manifest.name}, or use another LLAMAREC_HOME.",
        )


def _parents_first(found: list[Artefact]) -> list[Artefact]:
    """Order artefacts so that each stands behind those it was made from, visiting each once.

    Raises:
        LlamaRecError: One is its own ancestor, or has more parents or generations of them than any that is made.
    """
    by_name = {artefact.manifest.name: artefact for artefact in found}
    known = {name: [one for one in artefact.manifest.parents if one in by_name] for name, artefact in by_name.items()}
    try:
        order = list(TopologicalSorter(known).static_order())
    except CycleError as error:
        raise LlamaRecError(f"{error.args[1][0]} says that it was made from itself.", _HOSTILE) from error
    generations: dict[str, int] = {}
    for name in order:
        generations[name] = 1 + max((generations[parent] for parent in known[name]), default=0)
        if max(generations[name], len(by_name[name].manifest.parents)) > _MOST_ANCESTORS:
            raise LlamaRecError(
                f"{name} says that it was made from more than llamarec makes anything from: more than "
                f"{_MOST_ANCESTORS} parents, or generations of them.",
                _HOSTILE,
            )
    return [by_name[name] for name in order]


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode = 0, 0, 0, "", "", 0o644
    return member
