"""Preparation is deterministic and follows the paper."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fakes import shared_data
from table_folder import TableFolder

from llamarec_cli.data.dataset import PreparedData, k_core, load_prepared, prepare, save_prepared
from llamarec_cli.data.readers import RawLog, read_raw_log
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.store.manifest import sha256_of


def log_of(rows: list[tuple[str, str, int]], untitled: frozenset[str] = frozenset()) -> RawLog:
    interactions = pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")
    items = sorted({item for _, item, _ in rows})
    titles = ["" if item in untitled else f"Title {item}" for item in items]
    return RawLog(interactions, pl.DataFrame({"item": items, "title": titles}), has_timestamps=True)


def test_k_core_drops_in_a_chain() -> None:
    # c appears once; without it user 2 has one item left; without user 2 item b has one user left; and so on.
    rows = [("1", "a"), ("1", "b"), ("2", "b"), ("2", "c"), ("3", "a"), ("3", "d"), ("4", "a"), ("4", "d")]
    frame = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    assert k_core(frame, 2).rows() == [("3", "a"), ("3", "d"), ("4", "a"), ("4", "d")]


def test_sequences_are_chronological_and_ties_keep_the_order_of_the_file() -> None:
    log = log_of([("u2", "b", 5), ("u1", "c", 9), ("u1", "b", 1), ("u2", "a", 5), ("u1", "a", 1), ("u2", "c", 1)])
    data = prepare(log, min_count=2)
    assert data.item_ids == ["", "a", "b", "c"]
    assert data.user_ids == ["u1", "u2"]
    assert data.offsets_U.tolist() == [0, 3, 6]
    assert data.items_N.tolist() == [2, 1, 3, 3, 2, 1]
    assert data.titles[1] == "Title a"


def test_items_without_a_title_are_dropped_before_the_core_is_taken() -> None:
    rows = [(user, item, 0) for user in ("1", "2") for item in ("a", "b", "c")]
    data = prepare(log_of(rows, untitled=frozenset({"b"})), min_count=2)
    assert data.item_ids == ["", "a", "c"]
    with pytest.raises(LlamaRecError, match="No interaction is left"):
        prepare(log_of(rows, untitled=frozenset({"b"})), min_count=3)


def test_saving_and_loading_keeps_everything_and_the_bytes_are_the_same_twice(
    ring: PreparedData, tmp_path: Path
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        save_prepared(ring, folder)
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == ["interactions.safetensors", "items.jsonl", "users.jsonl"]
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    loaded = load_prepared(folders[0])
    assert np.array_equal(loaded.items_N, ring.items_N)
    assert np.array_equal(loaded.offsets_U, ring.offsets_U)
    assert loaded.timestamps_N is not None
    assert (loaded.user_ids, loaded.item_ids, loaded.titles) == (ring.user_ids, ring.item_ids, ring.titles)
    assert loaded.vocabulary_digest() == ring.vocabulary_digest()


def test_kept_repeats_are_part_of_the_file_and_nothing_else_changes_it(ring: PreparedData, tmp_path: Path) -> None:
    digests, loaded = [], []
    for data in (ring, dataclasses.replace(ring, repeats=True)):
        save_prepared(data, tmp_path)
        digests.append(sha256_of(tmp_path / "interactions.safetensors"))
        loaded.append(load_prepared(tmp_path))
    # The ring as it was before repeats could be kept.
    assert digests[0] == "8e6e73fa1bc62b2c3c8b6c4d1acd2bec00382f65bca234eabb4de24693ffaf2d"
    assert digests[1] != digests[0]
    assert [data.repeats for data in loaded] == [False, True]
    assert np.array_equal(loaded[1].items_N, ring.items_N)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("folder", "counts"),
    [
        ("ml-latest-small", (610, 3_650, 90_274)),
        ("beauty", (22_332, 12_086, 198_215)),
        ("games", (14_980, 7_685, 145_539)),
    ],
)
def test_real_sets_have_their_counts(folder: str, counts: tuple[int, int, int]) -> None:
    data = prepare(read_raw_log(shared_data(folder)))
    assert (data.user_count, data.item_count, data.interaction_count) == counts


def test_repeated_next_items_are_counted(folder: TableFolder) -> None:
    raw, _ = folder.read("user,item,title\nu,1,A\nu,2,B\nu,1,A\nu,1,A\nv,1,A\nv,2,B\n")
    assert prepare(raw, min_count=1).repeated_next_items() == 2
