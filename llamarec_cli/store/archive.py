"""Archives for machines without network: `store export` and `store import`.

An archive is a zstandard-compressed tar of artefact folders: the exported artefact and its ancestors. It is untrusted:
`unpacking` bounds its size, members must be regular files inside artefact folders, and every digest is verified before
a folder is renamed into the store.
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
# Limit on the parents of one artefact and on generations; a ranker over an ensemble has four generations.
_MOST_ANCESTORS = 64
_REMEDY = "give another place"
_HOSTILE = "Do not use it; check where it came from."


def lineage(store: Store, name: str, *, base_models: bool = True) -> list[Artefact]:
    """Return an artefact and its ancestors in the store, parents first.

    Args:
        store: The store.
        name: Name of the artefact.
        base_models: Whether to include base models, which are large and can be fetched again.

    Raises:
        LlamaRecError: The artefact or an ancestor is missing or damaged.
    """
    found: dict[str, Artefact] = {}
    waiting = [name]
    while waiting:
        artefact = store.open(waiting.pop())
        found[artefact.manifest.name] = artefact
        # A base model from a folder or from the Hub is not in the store.
        waiting += [one for one in artefact.manifest.parents if one not in found and is_name(store, one)]
    ordered = _parents_first(list(found.values()))
    return [one for one in ordered if base_models or one.manifest.kind is not Kind.BASE_MODEL]


def is_name(store: Store, text: str) -> bool:
    """Return whether a text is the name of an artefact in the store; it need not be well-formed."""
    try:
        return text in store
    except LlamaRecError:
        return False


def export_archive(artefacts: list[Artefact], path: Path, report: Reporter = silent) -> int:
    """Write artefacts to an archive and return its size in bytes.

    The same artefacts give the same bytes: members are sorted, and times and owners are cleared.

    Raises:
        LlamaRecError: The archive exists already, or cannot be written.
    """
    if not path.name.endswith(ENDING):
        raise LlamaRecError(f"{path} does not end in {ENDING}.", f"Give a name such as {path.name}{ENDING}.")
    need_output(path, _REMEDY)
    if path.is_file():
        raise LlamaRecError(f"{path} exists already.", "Give another name, or remove it first.")
    files = [file for one in artefacts for file in sorted(one.path.rglob("*")) if file.is_file()]
    root = artefacts[0].path.parent
    with (
        written_whole(path, _REMEDY) as partial,
        partial.open("wb") as raw,
        zstandard.ZstdCompressor(write_checksum=True).stream_writer(raw) as packed,
        # Hard links are stored as separate files.
        tarfile.open(fileobj=packed, mode="w|", dereference=True) as archive,
    ):
        for number, file in enumerate(files, start=1):
            archive.add(file, arcname=file.relative_to(root).as_posix(), filter=_anonymous)
            report(Progress(f"pack {path.name}", number, len(files)))
    return path.stat().st_size


def import_archive(store: Store, path: Path, report: Reporter = silent) -> list[str]:
    """Add the artefacts of an archive to the store and return the names of the new ones.

    Raises:
        LlamaRecError: It is not a valid archive, is damaged, or the store holds a different artefact under one of its
            names.
    """
    with file_failures(path, "Check the path."):
        if not path.is_file():
            raise LlamaRecError(f"There is no file {path}.", "Check the path.")
    with store.scratch() as folder:
        unpack(path, folder, report)
        return adopt_all(store, folder)


def adopt_all(store: Store, folder: Path) -> list[str]:
    """Verify all artefact folders inside a folder, and add those to the store that it lacks.

    Args:
        store: The store.
        folder: Folder of artefact folders.

    Returns:
        Names of the artefacts added.

    Raises:
        LlamaRecError: One is damaged or its own ancestor, or the store holds a different one of the same name.
    """
    found = [Artefact(one, read_manifest(one)) for one in sorted(folder.iterdir()) if (one / MANIFEST_FILE).is_file()]
    if not found:
        raise LlamaRecError("It contains no artefact.", "Check that llamarec store export or push made it.")
    # Parents first, so that the store never holds a child without its parents.
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
        raise LlamaRecError(f"The folder {artefact.path.name} has the manifest of {manifest.name}.", "Export it again.")
    there = {file.relative_to(artefact.path).as_posix() for file in artefact.path.rglob("*") if file.is_file()}
    if there != {MANIFEST_FILE, *manifest.files}:
        raise LlamaRecError(f"{manifest.name} is damaged: its files are not those of its manifest.", "Export it again.")
    for name, record in manifest.files.items():
        if sha256_of(artefact.path / name) != record.sha256:
            raise LlamaRecError(
                f"{manifest.name} is damaged: the checksum of {name} does not match its manifest.", "Export it again."
            )
    if manifest.name in store and store.open(manifest.name).manifest.digest != manifest.digest:
        raise LlamaRecError(
            f"The store holds a different {manifest.name}.",
            f"llamarec store remove {manifest.name}, or set another LLAMAREC_HOME.",
        )


def _parents_first(found: list[Artefact]) -> list[Artefact]:
    """Sort artefacts topologically, parents first.

    Raises:
        LlamaRecError: One is its own ancestor, or exceeds the limit on parents or generations.
    """
    by_name = {artefact.manifest.name: artefact for artefact in found}
    known = {name: [one for one in artefact.manifest.parents if one in by_name] for name, artefact in by_name.items()}
    try:
        order = list(TopologicalSorter(known).static_order())
    except CycleError as error:
        raise LlamaRecError(f"{error.args[1][0]} is its own ancestor.", _HOSTILE) from error
    generations: dict[str, int] = {}
    for name in order:
        generations[name] = 1 + max((generations[parent] for parent in known[name]), default=0)
        if max(generations[name], len(by_name[name].manifest.parents)) > _MOST_ANCESTORS:
            raise LlamaRecError(
                f"{name} has more than {_MOST_ANCESTORS} parents or generations of ancestors.",
                _HOSTILE,
            )
    return [by_name[name] for name in order]


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode = 0, 0, 0, "", "", 0o644
    return member
