"""The manifest of an artefact: written last, so that its presence means the artefact is complete."""

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

# Files whose bytes follow from the work alone. JSON beside them may carry library versions, so it is checked for
# damage but does not enter the artefact's digest.
_PAYLOAD = (".safetensors", ".jsonl")


_LIBRARIES = ("llamarec-cli", "torch", "transformers", "peft", "bitsandbytes", "safetensors", "polars", "numpy")


class Kind(StrEnum):
    """What an artefact is."""

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
    """What an artefact is and where it comes from.

    Attributes:
        name: Name in the store, such as `games/lrurec`.
        kind: What it is.
        config: Resolved configuration that made it.
        parents: Name and digest of each artefact it was made from.
        metrics: Measured figures.
        command: Command line that made it.
        files: Every file but the manifest, by name.
        versions: Library versions at the time.
        schema: Version of this layout.
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

        What was converted from a pinned file has that file's digest, since library versions may round otherwise.
        """
        if "source_sha256" in self.config:
            return str(self.config["source_sha256"])
        lines = [f"{name} {self.files[name].sha256}\n" for name in sorted(self.files) if name.endswith(_PAYLOAD)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def is_well_formed(self) -> bool:
        """Tell whether fields that were read from a file have the types that are declared, and files lie inside."""
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
    """Complete a manifest with the folder's files and library versions, and write it.

    Returns:
        The manifest as written.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    files = {path.relative_to(folder).as_posix(): FileRecord(sha256_of(path), path.stat().st_size) for path in paths}
    complete = Manifest(**{**vars(manifest), "files": files, "versions": _versions()})
    text = json.dumps(asdict(complete), indent=2, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
    return complete


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest.

    Raises:
        LlamaRecError: It is damaged or of another schema.
    """
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(read_small(path))
        if values["schema"] != SCHEMA:
            raise LlamaRecError(
                f"{folder} was written in schema {values['schema']}; this version reads {SCHEMA}.",
                "Update llamarec, or make it anew.",
            )
        values["kind"] = Kind(values["kind"])
        values["files"] = {name: FileRecord(**record) for name, record in values["files"].items()}
        manifest = Manifest(**values)
        if not manifest.is_well_formed():
            raise ValueError("a field has another type than it must")
        return manifest
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        name = name_of(folder.name)
        raise LlamaRecError(
            f"The manifest of {name} is damaged.", f"llamarec store remove {name}, then make it anew."
        ) from error


def sha256_of(path: Path) -> str:
    """Return a file's digest in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_inside(file: str) -> bool:
    """Tell whether the name of a file leads into its artefact's folder, and nowhere else."""
    return file.isprintable() and not PurePosixPath(file).is_absolute() and ".." not in PurePosixPath(file).parts


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:  # run from a checkout that is not installed
            continue
    return versions
