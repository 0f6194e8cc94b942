"""Integrity of an artefact's folder: every file of its manifest, with its size and digest, and no other file."""

from __future__ import annotations

from pathlib import Path

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.store.manifest import MANIFEST_FILE, Manifest, read_manifest, sha256_of

# Opening an artefact verifies the digest of files up to this size; of larger ones (a base model) only the size.
_CHECKED_BYTES = 64 * 2**20


def damaged_file(folder: Path, manifest: Manifest) -> str | None:
    """Return the first file that does not match the manifest, or None; fast enough for every opening."""
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != record.bytes:
            return name
        if record.bytes <= _CHECKED_BYTES and sha256_of(path) != record.sha256:
            return name
    return None


def wrong_files(folder: Path) -> list[str]:
    """Recompute the digest of every file of an artefact, whatever its size, and return the faults."""
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
            wrong.append(f"the checksum of {file} does not match its manifest")
    return wrong


def foreign_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return the files in an artefact's folder that are not in its manifest, and so not written by this program."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}
    return sorted(there - {MANIFEST_FILE, *manifest.files})
