"""Push and pull against a fake of the Hub: a folder."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.store.hub import pull, push
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store


class FakeHub:
    """Keeps each commit of a repository as a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commits: dict[str, list[str]] = {}

    def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.commits.setdefault(repository, [])

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str, delete_patterns: list[str]) -> Any:
        assert all(pattern.endswith("/*") and pattern != "/*" for pattern in delete_patterns)
        revision = f"{repo_id.replace('/', '-')}-{len(self.commits[repo_id])}"
        shutil.copytree(folder_path, self.folder / revision)
        self.commits[repo_id].append(revision)
        return SimpleNamespace(commit_url=f"hub://{repo_id}/{revision}")

    def snapshot_download(self, repository: str, *, revision: str | None) -> str:
        if repository not in self.commits:
            raise errors.RepositoryNotFoundError.__new__(errors.RepositoryNotFoundError)
        if revision is not None and revision not in self.commits[repository]:
            raise errors.RevisionNotFoundError.__new__(errors.RevisionNotFoundError)
        return str(self.folder / (revision or self.commits[repository][-1]))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    (tmp_path / "hub").mkdir()
    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    return fake


def make(store: Store, name: str, kind: Kind, parents: tuple[str, ...] = (), **fields: Any) -> None:
    digests = {parent: store.open(parent).manifest.digest for parent in parents}
    values = {"config": {}, "metrics": {}, "command": f"llamarec make {name}"} | fields
    with store.stage(Manifest(name, kind, parents=digests, **values)) as folder:
        (folder / "model.safetensors").write_bytes(name.encode())


@pytest.fixture
def full(store: Store) -> Store:
    make(store, "games", Kind.DATASET, metrics={"users": 3}, config={"licence": "research use"})
    make(store, "base", Kind.BASE_MODEL)
    figures = {"ndcg@10": 0.0572}
    make(store, "games/lrurec", Kind.RETRIEVER, ("games",), metrics={"validation": figures, "test": figures})
    make(store, "games/base", Kind.RANKER, ("games", "base", "games/lrurec"), config={"base": "owner/base"})
    return store


def test_what_is_pushed_can_be_pulled_elsewhere(full: Store, hub: FakeHub, tmp_path: Path) -> None:
    assert push(full, "games/base", "me/games") == "hub://me/games/me-games-0"
    there = Store(tmp_path / "there")
    assert set(pull(there, "me/games")) == {"games", "games/lrurec", "games/base"}
    assert all(there.verify(one.manifest.name) == [] for one in there.artefacts())
    assert pull(there, "me/games") == []


def test_the_model_card_has_data_base_metrics_command_and_licence(full: Store, hub: FakeHub) -> None:
    push(full, "games/base", "me/games")
    card = (hub.folder / "me-games-0" / "README.md").read_text()
    for part in (
        "base_model: owner/base",
        "llamarec make games/base",
        "users 3",
        "research use",
        "| ndcg@10 | 0.0572 | 0.0572 |",
    ):
        assert part in card


def test_a_revision_can_be_pinned(full: Store, hub: FakeHub, tmp_path: Path) -> None:
    push(full, "games", "me/games")
    push(full, "games/lrurec", "me/games")
    assert pull(Store(tmp_path / "there"), "me/games", "me-games-0") == ["games"]
    with pytest.raises(LlamaRecError, match="no me/games at revision v9"):
        pull(full, "me/games", "v9")


def test_missing_and_changed_repositories_are_refused(full: Store, hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match="has no me/nothing"):
        pull(full, "me/nothing")
    with pytest.raises(UsageError, match="not the name of a repository"):
        pull(full, "games")
    push(full, "games", "me/games")
    (hub.folder / "me-games-0" / "games" / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(LlamaRecError, match="damaged"):
        pull(Store(tmp_path / "there"), "me/games")
