"""The Hugging Face Hub: fetching from it with sentences for what it says, and `store push` and `store pull`.

A repository holds the folders of artefacts as they lie in the store, and a model card. What is pulled is checked like
an archive: every digest, before anything is renamed into the store.
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
    """Upload an artefact and all it was made from but base models, with a model card.

    Args:
        store: The store.
        name: Name of the artefact.
        repository: `OWNER/NAME` on the Hub; made if it is not there.
        private: Whether it is made private. What else it holds is left alone.

    Returns:
        The address of the commit.

    Raises:
        LlamaRecError: The artefact is missing or damaged, or the Hub refuses.
    """
    _check_name(repository)
    artefacts = lineage(store, name, base_models=False)
    with store.scratch() as folder, hub_as_sentences(repository):
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
    """Take the artefacts of a repository into the store, and return the names of those that were not there yet.

    Args:
        store: The store.
        repository: `OWNER/NAME` on the Hub.
        revision: A branch, tag or commit; the newest by default.

    Raises:
        LlamaRecError: The Hub refuses, the repository holds no artefacts, or one is damaged or under a name taken.
    """
    _check_name(repository)
    with store.scratch() as folder:
        with hub_as_sentences(repository, revision):
            from huggingface_hub import snapshot_download

            fetched = Path(snapshot_download(repository, revision=revision))
        for one in sorted(fetched.iterdir()):
            if (one / MANIFEST_FILE).is_file():
                # The cache holds links to blobs; the store holds files.
                shutil.copytree(one, folder / one.name)
        return adopt_all(store, folder)


@contextmanager
def hub_as_sentences(repository: str, revision: str | None = None) -> Iterator[None]:
    """Turn what the Hub says of a repository into a sentence and what to do about it."""
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
            f"{repository} is gated: its owners want you to accept their terms first.",
            "Accept them on its page on the Hub, then: hf auth login. Then repeat the command.",
        ) from error
    except LocalTokenNotFoundError as error:
        raise LlamaRecError("Nobody is logged in to the Hugging Face Hub.", "hf auth login") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise LlamaRecError(
            f"The Hugging Face Hub has no {repository}" + (f" at revision {revision}." if revision else "."),
            "Check the name; a private one needs hf auth login first.",
        ) from error
    except LocalEntryNotFoundError as error:
        raise LlamaRecError(
            f"{repository} is not in the Hub's cache on this machine, and the Hub cannot be reached.",
            f"With network: hf download {repository}. Then repeat the command.",
        ) from error
    except unreachable as error:
        raise LlamaRecError(
            f"The Hugging Face Hub cannot be reached, or refused {repository} ({error}).", "Try again later."
        ) from error


def _network_errors() -> tuple[type[Exception], ...]:
    """Return what the Hub's own client raises when there is no network: its HTTP library's base error."""
    from huggingface_hub import errors

    http_error = getattr(errors, "HTTPError", None)
    return (http_error,) if isinstance(http_error, type) and issubclass(http_error, Exception) else ()


def model_card(artefacts: list[Artefact]) -> str:
    """Return a model card made from manifests; the last artefact is the one that was asked for."""
    asked = artefacts[-1].manifest
    lines = ["---", "tags:", "- llamarec", "- sequential-recommendation"]
    # Only a name on the Hub means anything to others; a folder of this machine is nobody's business.
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base := asked.config.get("base", "")):
        lines += [f"base_model: {base}"]
    lines += ["library_name: llamarec-cli", "---", "", f"# {asked.name}", ""]
    lines += [f"A {asked.kind} made by `{asked.command}`.", ""]
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
    lines += ["Versions: " + ", ".join(f"{library} {version}" for library, version in asked.versions.items()) + "."]
    return "\n".join(lines) + "\n"


def _table(name: str, metrics: dict[str, Any]) -> list[str]:
    """Return the validation and test figures of a retriever, or the fusion's of a ranker, as Markdown."""
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
        raise UsageError(f"{repository} is no repository of the Hub.", "Give OWNER/NAME.")
