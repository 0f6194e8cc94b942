"""Killed at any step on the file system, the store holds the old or the new, and no leftovers."""

from itertools import count
from pathlib import Path

import pytest
from artefact_makers import make
from killing import killed_at

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.store.archive import export_archive, import_archive, lineage
from llamarec_cli.store.registry import Store

MODEL = "model.safetensors"


def left_over(home: Path) -> list[str]:
    """What a command that only looks leaves of what was being made; every command begins so."""
    Store(home).tidy()
    return [path.name for path in (home / "staging").iterdir()] if (home / "staging").is_dir() else []


def test_creation(tmp_path: Path) -> None:
    for step in count():
        home = tmp_path / str(step)
        killed = killed_at(step, home, lambda home=home: make(Store(home), "games"))
        assert left_over(home) == []
        store = Store(home)
        if "games" not in store:
            make(store, "games")
        assert store.verify("games") == []
        if not killed:
            break
    assert step > 10


def test_replacement(store: Store) -> None:
    for step in count():
        make(store, "games", b"old", replace="games" in store)
        killed = killed_at(step, store.home, lambda: make(store, "games", b"new", replace=True))
        assert left_over(store.home) == []
        assert [one.manifest.name for one in store.artefacts()] == ["games"]
        assert store.verify("games") == []
        assert (store.path_of("games") / MODEL).read_bytes() in (b"old", b"new")
        if not killed:
            break
    assert (store.open("games").path / MODEL).read_bytes() == b"new"


def test_removal(store: Store) -> None:
    for step in count():
        if "games" not in store:
            make(store, "games")
        killed = killed_at(step, store.home, lambda: store.remove("games"))
        assert store.damaged() == []
        assert "games" not in store or store.verify("games") == []
        assert left_over(store.home) == []
        if not killed:
            break
    assert "games" not in store


def test_export_and_import(store: Store, tmp_path: Path) -> None:
    make(store, "games")
    archive = tmp_path / "games.tar.zst"
    for step in count():
        killed = killed_at(step, tmp_path, lambda: export_archive(lineage(store, "games"), archive))
        assert archive.is_file() == (not killed)
        if not killed:
            break
    assert [path.name for path in tmp_path.glob("games*")] == ["games.tar.zst"]
    for step in count():
        there = Store(tmp_path / f"there-{step}")
        killed = killed_at(step, there.home, lambda there=there: import_archive(there, archive))
        assert left_over(there.home) == []
        assert import_archive(there, archive) == ([] if "games" in there and not killed else ["games"]) or killed
        assert there.verify("games") == []
        if not killed:
            break


@pytest.mark.parametrize("before", [None, 1.0])
def test_saving_a_training_state(context: Context, before: float | None) -> None:
    import torch

    def save(value: float) -> None:
        TrainingStates(context, "games", {}).save({"a": torch.full((3,), value)}, {"value": value})

    states = TrainingStates(context, "games", {})
    for step in count():
        states.clear()
        if before is not None:
            save(before)
        killed = killed_at(step, context.store.home, lambda: save(2.0))
        saved = states.load()
        assert (None if saved is None else saved[1]["value"]) in (before, 2.0)
        assert left_over(context.store.home) == []
        if not killed:
            break
    assert saved is not None
