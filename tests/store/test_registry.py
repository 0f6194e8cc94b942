"""The store: create, open, replace and remove artefacts."""

from pathlib import Path

import pytest
from artefact_makers import left_overs, make, manifest_of

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.store.manifest import MANIFEST_FILE, Kind, Manifest
from llamarec_cli.store.registry import Store


def test_an_artefact_is_complete_once_it_exists(store: Store) -> None:
    make(store, "games/lrurec")
    artefact = store.open("games/lrurec", Kind.RETRIEVER)
    assert artefact.path == store.home / "artefacts" / "games--lrurec"
    assert artefact.manifest.files["model.safetensors"].bytes == 7
    assert artefact.manifest.versions["python"]
    assert "games/lrurec" in store
    assert not left_overs(store)


def test_equal_artefacts_have_equal_bytes(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "one"), Store(tmp_path / "two")]
    for store in stores:
        make(store, "games")
    one, two = (store.path_of("games") / MANIFEST_FILE for store in stores)
    assert one.read_bytes() == two.read_bytes()


def test_nothing_is_overwritten_silently(store: Store) -> None:
    make(store, "games")
    with pytest.raises(LlamaRecError, match="exists already"):
        make(store, "games", b"new")
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"tensors"
    make(store, "games", b"new", replace=True)
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"new"
    assert not left_overs(store)


def test_a_folder_without_manifest_is_not_an_artefact(store: Store) -> None:
    make(store, "games")
    (store.path_of("games") / MANIFEST_FILE).unlink()
    assert "games" not in store
    assert store.artefacts() == []


def test_an_unknown_name_has_a_suggestion(store: Store) -> None:
    make(store, "games/lrurec")
    with pytest.raises(LlamaRecError, match="did you mean games/lrurec"):
        store.open("games/lrurek")
    with pytest.raises(LlamaRecError, match="is a retriever, not a dataset"):
        store.open("games/lrurec", Kind.DATASET)


def test_removal_is_atomic_and_counts_bytes(store: Store) -> None:
    make(store, "games")
    with store.stage(manifest_of("games/lrurec", parents={"games": "d"})) as folder:
        (folder / "model.safetensors").write_bytes(b"x")
    assert store.children_of("games") == ["games/lrurec"]
    assert store.remove("games") > 7
    assert [artefact.manifest.name for artefact in store.artefacts()] == ["games/lrurec"]
    assert not left_overs(store)


def test_an_adopted_artefact_is_verified(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    make(other, "games/lrurec")
    source = other.path_of("games/lrurec")
    store.adopt(source)
    assert store.open("games/lrurec").manifest == other.open("games/lrurec").manifest
    store.remove("games/lrurec")
    (source / "model.safetensors").write_bytes(b"TENSORS")
    with pytest.raises(LlamaRecError, match="damaged"):
        store.adopt(source)
    assert "games/lrurec" not in store
    assert not left_overs(store)


def test_another_kind_is_not_replaced(store: Store) -> None:
    make(store, "games")
    other = Manifest("games", Kind.RANKER, config={}, parents={}, metrics={}, command="x")
    with (
        pytest.raises(LlamaRecError, match="is a retriever, which a ranker cannot replace"),
        store.stage(other, replace=True),
    ):
        pass


def test_the_slower_of_two_processes_does_not_overwrite(store: Store) -> None:
    with pytest.raises(LlamaRecError, match="exists already"), store.stage(manifest_of("games")) as folder:
        (folder / "model.safetensors").write_bytes(b"late")
        make(store, "games", b"early")
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"early"


def test_a_damaged_manifest_does_not_hide_other_artefacts(store: Store) -> None:
    make(store, "games")
    make(store, "beauty")
    (store.path_of("games") / MANIFEST_FILE).write_text("{")
    assert [artefact.manifest.name for artefact in store.artefacts()] == ["beauty"]
    assert store.damaged() == ["games"]
    store.remove("games")
    assert store.damaged() == []
    make(store, "games")


def test_a_folder_in_the_place_of_an_artefact_is_not_overwritten(store: Store, home: Path) -> None:
    make(store, "beauty")
    (home / "artefacts" / "games").mkdir()
    (home / "artefacts" / "games" / "notes.txt").write_text("precious")
    for replace in (False, True):
        with pytest.raises(LlamaRecError, match="is in the way"):
            make(store, "games", replace=replace)
    assert (home / "artefacts" / "games" / "notes.txt").read_text() == "precious"
