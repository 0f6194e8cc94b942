"""The manifest of an artefact: written last, so that its presence means that the artefact is complete."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.small_files import read_small
from llamarec_cli.store.names import is_well_formed, name_of

SCHEMA = 1
MANIFEST_FILE = "manifest.json"

# Suffixes of files that enter the artefact's digest. Other files, such as a config.json with library versions, may
# differ between equal artefacts; they are only checked for damage.
_PAYLOAD = (".safetensors", ".jsonl")

_LIBRARIES = ("llamarec-cli", "torch", "transformers", "peft", "bitsandbytes", "safetensors", "polars", "numpy")


class Kind(StrEnum):
    """Kind of an artefact."""

    DATASET = "dataset"
    BASE_MODEL = "base-model"
    TITLE_VECTORS = "title-vectors"
    RETRIEVER = "retriever"
    RANKER = "ranker"
    EVALUATION = "evaluation"


@dataclass(frozen=True)
class FileRecord:
    """One file of an artefact.

    Attributes:
        sha256: Digest, in hexadecimal.
        bytes: Size.
    """

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """Description and provenance of an artefact.

    Attributes:
        name: Name in the store, such as `games/lrurec`.
        kind: Kind of artefact.
        config: Resolved configuration.
        parents: Name and digest of each artefact that it was made from.
        metrics: Measured figures.
        command: Command line that made it.
        files: Every file but the manifest, by name.
        versions: Library versions when it was made.
        schema: Version of the manifest's layout.
    """

    name: str
    kind: Kind
    config: dict[str, Any]
    parents: dict[str, str]
    metrics: dict[str, Any]
    command: str
    files: dict[str, FileRecord] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def digest(self) -> str:
        """Digest of the artefact's payload: tensors and vocabularies, by file name.

        An artefact converted from a pinned file has that file's digest, since rounding depends on library versions.
        """
        if "source_sha256" in self.config:
            return str(self.config["source_sha256"])
        lines = [f"{name} {self.files[name].sha256}\n" for name in sorted(self.files) if name.endswith(_PAYLOAD)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def is_well_formed(self) -> bool:
        """Return whether fields read from a file have their declared types, and file names stay inside the folder."""
        texts = (self.name, self.command, *self.parents, *self.files)
        tables = (self.config, self.parents, self.metrics, self.files, self.versions)
        digests = [*self.parents.values(), *(record.sha256 for record in self.files.values())]
        return (
            all(isinstance(table, dict) for table in tables)
            and all(isinstance(text, str) for text in (*texts, *digests))
            and all(type(record.bytes) is int for record in self.files.values())
            and is_well_formed(self.name)
            and all(_is_inside(file) for file in self.files)
        )

    @property
    def bytes(self) -> int:
        """Size of all files but the manifest."""
        return sum(record.bytes for record in self.files.values())


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Add the folder's files and the library versions to a manifest, write it, and return it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    files = {path.relative_to(folder).as_posix(): FileRecord(sha256_of(path), path.stat().st_size) for path in paths}
    complete = Manifest(**{**vars(manifest), "files": files, "versions": _versions()})
    text = json.dumps(asdict(complete), indent=2, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
    return complete


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest.

    Raises:
        LlamaRecError: It is damaged or has another schema.
    """
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(read_small(path))
        if values["schema"] != SCHEMA:
            raise LlamaRecError(
                f"{folder} was written in schema {values['schema']}; this version reads {SCHEMA}.",
                "Update llamarec, or create it again.",
            )
        values["kind"] = Kind(values["kind"])
        values["files"] = {name: FileRecord(**record) for name, record in values["files"].items()}
        manifest = Manifest(**values)
        if not manifest.is_well_formed():
            raise ValueError("a field has the wrong type")
        return manifest
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        name = name_of(folder.name)
        raise LlamaRecError(
            f"The manifest of {name} is damaged.", f"llamarec store remove {name}, then create it again."
        ) from error


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_inside(file: str) -> bool:
    """Return whether a relative file name stays inside its artefact's folder."""
    return file.isprintable() and not PurePosixPath(file).is_absolute() and ".." not in PurePosixPath(file).parts


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:  # a checkout that is not installed
            continue
    return versions
