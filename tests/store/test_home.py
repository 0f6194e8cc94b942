"""The home: foreign folders are refused, and foreign files left alone."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from artefact_makers import left_overs, manifest_of
from safetensors import SafetensorError
from safetensors.numpy import save_file
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.errors import HomeError, LlamaRecError
from llamarec_cli.store.home import FOLDERS, MARK, default_home
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store

# Names of left-overs in staging; what has them and no free lock beside it is not ours.
OWNER = "0123456789ab"


def make(store: Store, name: str, replace: bool = False) -> None:
    manifest = Manifest(name, Kind.BASE_MODEL, config={}, parents={}, metrics={}, command="test")
    with store.stage(manifest, replace=replace) as folder:
        save_file({"a": np.zeros(1)}, folder / "model.safetensors")


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


COMMANDS = [
    ("store", "list"),
    ("store", "show", "nothing"),
    ("store", "verify"),
    ("store", "prune", "--yes"),
    ("store", "import", "games.tar.zst"),
    ("doctor",),
    ("prepare", "games", "--source", "."),
    ("train", "retriever", "--dataset", "games"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "files",
    [
        ["staging/site/index.html"],
        [f"staging/{OWNER}/index.html", f"staging/{OWNER}.lock"],
        ["downloads/holiday.jpg"],
        ["work/thesis.txt"],
        ["locks/keys.txt"],
        ["artefacts/site/manifest.json"],
        ["notes.txt"],
        [".hidden"],
    ],
    ids=lambda files: files[0],
)
def test_a_folder_that_is_not_a_home_is_refused_and_left_unchanged(
    home: Path, command: tuple[str, ...], files: list[str]
) -> None:
    for file in files:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_text('{"name": "a web page"}')
    before = contents(home)
    result = run(*command)
    assert result.exit_code == 1
    assert "is not empty and is not a llamarec home" in result.stderr
    assert "Set LLAMAREC_HOME to a new or an empty folder" in result.stderr
    assert contents(home) == before


def test_an_empty_folder_becomes_a_home_on_first_write(store: Store) -> None:
    store.home.mkdir()
    assert run("store", "list").exit_code == 0
    assert not list(store.home.iterdir())
    make(store, "games")
    assert (store.home / MARK).is_dir()


def test_the_home_of_an_earlier_version_is_adopted(store: Store, home: Path) -> None:
    make(store, "games")
    (home / "work").mkdir()
    (home / "work" / "games--lrurec.safetensors").write_bytes(b"state")
    (home / MARK).rmdir()
    assert "games" in run("store", "list").stdout
    assert (home / MARK).is_dir()
    assert (home / "work" / "games--lrurec.safetensors").is_file()
    make(store, "beauty")


def test_an_interrupted_first_command_leaves_a_home(store: Store, home: Path) -> None:
    for folder in FOLDERS:
        (home / folder).mkdir(parents=True)
    (home / "locks" / "games.lock").touch()
    make(store, "games")
    assert "games" in store


def test_a_home_of_an_earlier_version_holds_only_our_folders(store: Store, home: Path) -> None:
    make(store, "games")
    (home / MARK).rmdir()
    (home / "photos").mkdir()
    with pytest.raises(HomeError, match="is not a llamarec home") as raised:
        store.artefacts()
    # The user may say that it is one.
    assert f"mkdir {home / MARK}" in str(raised.value.hint)
    (home / MARK).mkdir()
    assert [one.manifest.name for one in store.artefacts()] == ["games"]


def test_clean_up_leaves_foreign_files(store: Store, home: Path) -> None:
    make(store, "games")
    staging = home / "staging"
    theirs = [
        staging / "site" / "index.html",
        staging / "notes.txt",
        staging / OWNER / "no lock beside it.txt",
        staging / f"{OWNER}-replaced-games" / "no lock either.txt",
        staging / "site.lock",
        home / "locks" / "keys.txt",
        home / "work" / "thesis.txt",
        home / "downloads" / "holiday.jpg",
        home / "downloads" / "beauty-1" / "notes.txt",
    ]
    for file in theirs:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("precious")
    assert run("store", "list").exit_code == 0
    assert run("store", "prune", "--yes").exit_code == 0
    make(store, "beauty")
    make(store, "games", replace=True)
    assert all(file.read_text() == "precious" for file in theirs)


def test_targets_of_links_in_the_home_are_not_removed(store: Store, home: Path, tmp_path: Path) -> None:
    make(store, "games")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("precious")
    (home / "staging" / OWNER).symlink_to(theirs)
    (home / "staging" / f"{OWNER}.lock").touch()
    (home / "work").symlink_to(theirs)
    (home / "downloads").mkdir()
    (home / "downloads" / "recbole-1.2.1-py3-none-any.whl").symlink_to(theirs / "notes.txt")
    assert run("store", "prune", "--yes").exit_code == 0
    assert (theirs / "notes.txt").read_text() == "precious"


def test_a_home_copied_without_its_empty_folders_is_still_one(store: Store, tmp_path: Path) -> None:
    make(store, "games")
    shutil.copytree(store.home / "artefacts", tmp_path / "copy" / "artefacts")
    assert "games" in Store(tmp_path / "copy")


def test_restored_artefacts_are_reported(store: Store, home: Path) -> None:
    make(store, "games")
    store.path_of("games").rename(home / "staging" / f"{OWNER}-replaced-games")
    (home / "staging" / f"{OWNER}.lock").touch()
    result = run("store", "verify", "--json")
    assert json.loads(result.stdout) == {"checked": ["games"], "damaged": {}}
    assert "games is restored: replacing it had been interrupted" in result.stderr


def test_an_unwritable_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LlamaRecError, match="cannot be used"):
        make(Store(tmp_path / "file" / "home"), "games")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_home_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "forbidden").mkdir(mode=0o000)
    for home in (tmp_path / "forbidden" / "home", tmp_path / "forbidden" / "a" / "home"):
        with pytest.raises(LlamaRecError, match="cannot be used"):
            make(Store(home), "games")


def test_a_full_disk_is_reported_and_leaves_nothing(store: Store) -> None:
    full = [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ]
    for error in full:
        with pytest.raises(LlamaRecError, match="disk is full"), store.stage(manifest_of("games")):
            raise error
    assert not left_overs(store)


def test_the_home_is_the_variable_or_the_platform_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLAMAREC_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("LLAMAREC_HOME")
    assert default_home().name == "llamarec"
