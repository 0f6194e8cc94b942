"""The Hugging Face Hub: `store push`, `store pull`, and translation of the Hub's errors.

A repository holds artefact folders as they are in the store, and a model card. A pulled repository is verified like an
archive: every digest, before any folder is renamed into the store.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.store.archive import adopt_all, lineage
from llamarec_cli.store.manifest import MANIFEST_FILE, Kind
from llamarec_cli.store.registry import Artefact, Store


def push(store: Store, name: str, repository: str, *, private: bool = False) -> str:
    """Upload an artefact and its ancestors, except base models, with a model card.

    Other files in the repository are left alone.

    Args:
        store: The store.
        name: Name of the artefact.
        repository: `OWNER/NAME` on the Hub; created if missing.
        private: Whether a repository that is created is private.

    Returns:
        The URL of the commit.

    Raises:
        LlamaRecError: The artefact is missing or damaged, or the upload failed.
    """
    _check_name(repository)
    artefacts = lineage(store, name, base_models=False)
    with store.scratch() as folder, hub_failures(repository):
        from huggingface_hub import HfApi

        for artefact in artefacts:
            shutil.copytree(artefact.path, folder / artefact.path.name)
        (folder / "README.md").write_text(model_card(artefacts), encoding="utf-8")
        api = HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message=f"{name} by llamarec",
            delete_patterns=[f"{artefact.path.name}/*" for artefact in artefacts],
        )
    return str(commit.commit_url)


def pull(store: Store, repository: str, revision: str | None = None) -> list[str]:
    """Add the artefacts of a repository to the store and return the names of the new ones.

    Args:
        store: The store.
        repository: `OWNER/NAME` on the Hub.
        revision: A branch, tag or commit; the newest commit by default.

    Raises:
        LlamaRecError: The download failed, the repository holds no artefact, or one is damaged or its name is taken.
    """
    _check_name(repository)
    with store.scratch() as folder:
        with hub_failures(repository, revision):
            from huggingface_hub import snapshot_download

            fetched = Path(snapshot_download(repository, revision=revision))
        for one in sorted(fetched.iterdir()):
            if (one / MANIFEST_FILE).is_file():
                # The Hub's cache holds symbolic links; copying resolves them.
                shutil.copytree(one, folder / one.name)
        return adopt_all(store, folder)


@contextmanager
def hub_failures(repository: str, revision: str | None = None) -> Iterator[None]:
    """Translate the Hub's errors about a repository raised in the block."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    unreachable: tuple[type[Exception], ...] = (HfHubHTTPError, ConnectionError, *_network_errors())
    try:
        yield
    except LlamaRecError:
        raise
    except GatedRepoError as error:
        raise LlamaRecError(
            f"{repository} is gated: its terms must be accepted first.",
            "Accept them on its page on the Hub, run hf auth login, then repeat the command.",
        ) from error
    except LocalTokenNotFoundError as error:
        raise LlamaRecError("You are not logged in to the Hugging Face Hub.", "hf auth login") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise LlamaRecError(
            f"The Hugging Face Hub has no {repository}" + (f" at revision {revision}." if revision else "."),
            "Check the name; a private repository needs hf auth login first.",
        ) from error
    except LocalEntryNotFoundError as error:
        raise LlamaRecError(
            f"{repository} is not in the local cache of the Hub, and the Hub cannot be reached.",
            f"Run hf download {repository} with network access, then repeat the command.",
        ) from error
    except unreachable as error:
        raise LlamaRecError(
            f"The request for {repository} to the Hugging Face Hub failed ({error}).", "Try again later."
        ) from error


def _network_errors() -> tuple[type[Exception], ...]:
    """Return the base error of the HTTP library of the Hub's client, which it raises without network."""
    from huggingface_hub import errors

    http_error = getattr(errors, "HTTPError", None)
    return (http_error,) if isinstance(http_error, type) and issubclass(http_error, Exception) else ()


def model_card(artefacts: list[Artefact]) -> str:
    """Return a model card built from manifests; the last artefact is the one that was pushed."""
    pushed = artefacts[-1].manifest
    lines = ["---", "tags:", "- llamarec", "- sequential-recommendation"]
    # Only a repository name on the Hub; a path of this machine is private and of no use to others.
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base := pushed.config.get("base", "")):
        lines += [f"base_model: {base}"]
    lines += ["library_name: llamarec-cli", "---", "", f"# {pushed.name}", ""]
    lines += [f"A {pushed.kind} made by `{pushed.command}`.", ""]
    for artefact in artefacts:
        manifest = artefact.manifest
        if manifest.kind is Kind.DATASET:
            lines += [f"Data: {manifest.name}, " + ", ".join(f"{k} {v}" for k, v in manifest.metrics.items()) + "."]
            lines += [
                f"{key.capitalize()}: {manifest.config[key]}."
                for key in ("licence", "citation")
                if key in manifest.config
            ]
        lines += _table(manifest.name, manifest.metrics)
    lines += ["", "## Use", "", "```sh", "llamarec store pull OWNER/NAME   # this repository", "```", ""]
    lines += ["Versions: " + ", ".join(f"{library} {version}" for library, version in pushed.versions.items()) + "."]
    return "\n".join(lines) + "\n"


def _table(name: str, metrics: dict[str, Any]) -> list[str]:
    """Return a Markdown table of a retriever's metrics, or of a ranker's fusion."""
    if isinstance(metrics.get("test"), dict):
        rows = [
            f"| {metric} | {metrics['validation'][metric]:.4f} | {figure:.4f} |"
            for metric, figure in metrics["test"].items()
        ]
        return ["", f"{name}:", "", "| | validation | test |", "|---|---|---|", *rows]
    if "fusion" in metrics:
        groups = metrics["fusion"]["groups"]
        rows = [f"| {group} | {found['ndcg@10']:.4f} |" for group, found in groups.items()]
        return [
            "",
            f"{name}:",
            "",
            "| signals | NDCG@10, validation users whose item was retrieved |",
            "|---|---|",
            *rows,
        ]
    return []


def _check_name(repository: str) -> None:
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise UsageError(f"{repository} is not the name of a repository on the Hub.", "Give OWNER/NAME.")
