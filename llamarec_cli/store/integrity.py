"""Whether an artefact's folder holds what its manifest says: every file, no other, and each with its digest."""

from __future__ import annotations

from pathlib import Path

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.store.manifest import MANIFEST_FILE, Manifest, read_manifest, sha256_of

# Opening an artefact checks the digest of files up to this size; of larger ones (a base model) only the size.
_CHECKED_BYTES = 64 * 2**20


def damaged_file(folder: Path, manifest: Manifest) -> str | None:
    """Return the first file that is not what its manifest says, or None; quick enough for every opening."""
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != record.bytes:
            return name
        if record.bytes <= _CHECKED_BYTES and sha256_of(path) != record.sha256:
            return name
    return None


def wrong_files(folder: Path) -> list[str]:
    """Recompute the digest of every file of an artefact, however large, and return what is wrong with it."""
    try:
        manifest = read_manifest(folder)
    except LlamaRecError as error:
        return [error.sentence.removesuffix(".")]
    wrong: list[str] = []
    for file, record in manifest.files.items():
        path = folder / file
        if not path.is_file():
            wrong.append(f"{file} is missing")
        elif sha256_of(path) != record.sha256:
            wrong.append(f"{file} is not what its manifest says")
    return wrong


def foreign_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return the files in an artefact's folder that its manifest does not know: somebody else put them there."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}
    return sorted(there - {MANIFEST_FILE, *manifest.files})
