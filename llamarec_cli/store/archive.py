"""Artefacts in one file, to be carried to a machine without network: `store export` and `store import`.

An archive is a zstandard-compressed tar of artefact folders as they lie in the store: the one that was asked for and
whatever it was made from. Nothing in an archive is trusted: members may only be plain files of known folders, and every
digest is computed before a folder is renamed into the store.
"""

from __future__ import annotations

import errno
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import zstandard

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.store.manifest import MANIFEST_FILE, Kind, Manifest, read_manifest, sha256_of
from llamarec_cli.store.registry import Artefact, Store

ENDING = ".tar.zst"


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

    def add(artefact: Artefact) -> None:
        for parent in artefact.manifest.parents:
            # A base model from a folder or from the Hub lies elsewhere.
            if parent not in found and is_name(store, parent):
                add(store.open(parent))
        found[artefact.manifest.name] = artefact

    add(store.open(name))
    return [one for one in found.values() if base_models or one.manifest.kind is not Kind.BASE_MODEL]


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
    if path.exists():
        raise LlamaRecError(f"{path} is there already.", "Give another name, or remove it first.")
    partial = path.with_name(path.name + ".partial")
    files = [file for one in artefacts for file in sorted(one.path.rglob("*")) if file.is_file()]
    root = artefacts[0].path.parent
    try:
        with (
            partial.open("wb") as raw,
            zstandard.ZstdCompressor().stream_writer(raw) as packed,
            # Files that share their bytes on this disk are files of their own in the archive.
            tarfile.open(fileobj=packed, mode="w|", dereference=True) as archive,
        ):
            for number, file in enumerate(files, start=1):
                archive.add(file, arcname=file.relative_to(root).as_posix(), filter=_anonymous)
                report(Progress(f"pack {path.name}", number, len(files)))
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise LlamaRecError(f"{path} could not be written ({error.strerror}).", "Give another place.") from error
    return path.stat().st_size


def import_archive(store: Store, path: Path, report: Reporter = silent) -> list[str]:
    """Take the artefacts of an archive into the store, and return the names of those that were not there yet.

    Raises:
        LlamaRecError: It is no archive, holds something that has no place in one, is damaged, or the store holds
            another artefact under one of its names.
    """
    if not path.is_file():
        raise LlamaRecError(f"There is no file {path}.", "Check the path.")
    with store.scratch() as folder:
        _unpack(path, folder, report)
        return adopt_all(store, folder)


def adopt_all(store: Store, folder: Path) -> list[str]:
    """Check all artefact folders inside a folder, and take those into the store that it does not hold yet.

    Args:
        store: The store.
        folder: Holds artefact folders; they are moved out of it.

    Raises:
        LlamaRecError: One is damaged, parents are missing, or the store holds another under the same name.
    """
    found = [Artefact(one, read_manifest(one)) for one in sorted(folder.iterdir()) if (one / MANIFEST_FILE).is_file()]
    if not found:
        raise LlamaRecError("There is no artefact in it.", "Was it made by llamarec store export or push?")
    manifests = {artefact.manifest.name: artefact.manifest for artefact in found}
    for artefact in found:
        _check(store, artefact)
        _depth(artefact.manifest, manifests, ())
    added: list[str] = []
    # Parents first: whoever looks into the store meanwhile never finds a child alone.
    for artefact in sorted(found, key=lambda one: _depth(one.manifest, manifests, ())):
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


def _depth(manifest: Manifest, known: dict[str, Manifest], below: tuple[str, ...]) -> int:
    """Return how many generations of parents an artefact has among those known; one may not be its own ancestor."""
    if manifest.name in below:
        raise LlamaRecError(f"{manifest.name} says that it was made from itself.", "Do not use this file.")
    parents = [known[parent] for parent in manifest.parents if parent in known]
    return 1 + max((_depth(parent, known, (*below, manifest.name)) for parent in parents), default=0)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode = 0, 0, 0, "", "", 0o644
    return member


def _unpack(path: Path, folder: Path, report: Reporter) -> None:
    """Write the plain files of an archive into a folder; anything else in it is refused, and so is a way out."""
    try:
        with _opened(path) as archive:
            for number, member in enumerate(archive, start=1):
                target = folder / _safe(path, member)
                target.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None
                with target.open("wb") as written:
                    shutil.copyfileobj(content, written)
                report(Progress(f"unpack {path.name}", number))
    except OSError as error:
        # What is wrong with the disk is for the store to say; names that clash or are too long are the archive's fault.
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise LlamaRecError(f"{path} cannot be unpacked ({error.strerror}).", "Export it again.") from error
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError) as error:
        raise LlamaRecError(f"{path} is no archive of llamarec ({error}).", "Export it again.") from error


def _safe(path: Path, member: tarfile.TarInfo) -> PurePosixPath:
    name = PurePosixPath(member.name)
    plain = not name.is_absolute() and ".." not in name.parts and "\\" not in member.name and len(name.parts) >= 2
    if not member.isreg() or not plain:
        raise LlamaRecError(
            f"{path} holds {member.name!r}, which has no place in an archive; nothing was taken from it.",
            "Do not use this file, and ask where it came from.",
        )
    return name


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    with (
        path.open("rb") as raw,
        zstandard.ZstdDecompressor().stream_reader(raw) as packed,
        tarfile.open(fileobj=packed, mode="r|") as archive,
    ):
        yield archive
