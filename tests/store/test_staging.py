"""Staging: leftovers of dead processes are removed, half-done replacements undone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from artefact_makers import ALIVE, DEAD, left_overs, make, manifest_of
from filelock import FileLock

from llamarec_cli.store.registry import Store

DYING = """
import os, shutil, signal, sys
from pathlib import Path
from artefact_makers import Store, make

steps = int(sys.argv[2])

def counted(step):
    def dies(*arguments, **options):
        global steps
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        steps -= 1
        return step(*arguments, **options)
    return dies

Path.rename, shutil.rmtree = counted(Path.rename), counted(shutil.rmtree)
make(Store(Path(sys.argv[1])), "games", b"new", replace=True)
"""


def test_an_error_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.stage(manifest_of("games")) as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert "games" not in store
    assert not left_overs(store)


def test_a_failed_replacement_keeps_the_old_artefact(store: Store) -> None:
    make(store, "games")
    with pytest.raises(RuntimeError), store.stage(manifest_of("games"), replace=True):
        raise RuntimeError
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"tensors"


def test_a_replacement_killed_between_its_renames_is_undone(store: Store) -> None:
    make(store, "games")
    aside = store.home / "staging" / f"{DEAD}-replaced-games"
    aside.with_name(f"{DEAD}.lock").touch()
    store.path_of("games").rename(aside)
    assert "games" not in store
    assert store.tidy() == ["games"]
    assert store.tidy() == []
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"tensors"


@pytest.mark.parametrize(("steps", "content"), [(0, b"old"), (1, b"old"), (2, b"new"), (3, b"new")])
def test_after_a_kill_the_store_holds_the_old_or_the_new_artefact(store: Store, steps: int, content: bytes) -> None:
    make(store, "games", b"old")
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent), str(here.parents[1])])}
    process = subprocess.run([sys.executable, "-c", DYING, str(store.home), str(steps)], env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    assert (store.open("games").path / "model.safetensors").read_bytes() == content
    assert store.verify("games") == []
    make(store, "games", b"newer", replace=True)
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"newer"
    assert not left_overs(store)


def test_folders_of_dead_processes_are_removed(store: Store) -> None:
    make(store, "first")
    staging = store.home / "staging"
    dead, alive = staging / DEAD, staging / ALIVE
    for folder in (dead, alive):
        (folder / "deep").mkdir(parents=True)
        (staging / f"{folder.name}.lock").touch()
    with FileLock(staging / f"{ALIVE}.lock"):
        make(store, "games")
        assert left_overs(store) == [alive]
    make(store, "other")
    assert not list(staging.iterdir())


def test_a_lock_without_a_folder_is_removed_unless_held(store: Store) -> None:
    make(store, "first")
    dead, alive = (store.home / "staging" / f"{owner}.lock" for owner in (DEAD, ALIVE))
    dead.touch()
    with FileLock(alive):
        store.tidy()
        assert [path.name for path in (store.home / "staging").iterdir()] == [alive.name]
    store.tidy()
    assert not list((store.home / "staging").iterdir())
