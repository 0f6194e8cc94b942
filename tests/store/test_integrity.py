"""Files of an artefact are compared with its manifest."""

from pathlib import Path
from typing import Any

import pytest
from artefact_makers import make, manifest_of
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.store.integrity import foreign_files, wrong_files
from llamarec_cli.store.manifest import read_manifest
from llamarec_cli.store.registry import Store


@pytest.mark.parametrize("damage", [b"tensor", b"TENSORS"])
def test_a_damaged_file_is_named(store: Store, damage: bytes) -> None:
    make(store, "games")
    (store.path_of("games") / "model.safetensors").write_bytes(damage)
    with pytest.raises(LlamaRecError, match=r"games is damaged: model\.safetensors does not match"):
        store.open("games")


def test_every_fault_of_a_folder_is_listed(store: Store) -> None:
    with store.stage(manifest_of("games")) as folder:
        for name in ("a", "b", "c"):
            (folder / f"{name}.safetensors").write_bytes(b"tensors")
    place = store.path_of("games")
    assert (wrong_files(place), foreign_files(place, read_manifest(place))) == ([], [])
    (place / "a.safetensors").unlink()
    (place / "b.safetensors").write_bytes(b"TENSORS")
    (place / "link").symlink_to("c.safetensors")
    assert wrong_files(place) == [
        "a.safetensors is missing",
        "the checksum of b.safetensors does not match its manifest",
    ]
    assert foreign_files(place, read_manifest(place)) == ["link"]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_an_artefact_with_a_foreign_file_is_not_removed(store: Store, home: Path) -> None:
    make(store, "games")
    notes = store.path_of("games") / "notes.txt"
    notes.write_text("precious")
    with pytest.raises(LlamaRecError, match=r"holds notes\.txt, which is not in its manifest"):
        make(store, "games", replace=True)
    result = run("store", "remove", "games", "--yes")
    assert result.exit_code == 1
    assert "holds notes.txt" in result.stderr
    assert notes.read_text() == "precious"
    notes.unlink()
    assert run("store", "remove", "games", "--yes").exit_code == 0
