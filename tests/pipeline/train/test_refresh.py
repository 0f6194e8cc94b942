"""A data set that is prepared anew from a longer log, and what was trained on the old one."""

from pathlib import Path

import pytest
from fakes import write_ring

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.recommend.recommender import Recommender
from llamarec_cli.pipeline.train.ranker import train as train_ranker
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest

OVERRIDES = {
    "lrurec": {"width": 16, "blocks": 1, "max_length": 12},
    "training": {"batch_size": 16, "epochs": 2, "validate_every": 8},
    "ensemble": {"retrievers": ["lrurec"]},
}
RANKER = "ml-100k/smollm2-135m"


def refresh(context: Context, folder: Path, users: int, *, replace: bool) -> None:
    prepare_dataset(context, "ml-100k", write_ring(folder, users=users), replace=True)
    train_ranker(context, RankerRequest("ml-100k", strategy="signals", overrides=OVERRIDES, replace=replace))


def test_a_refresh_trains_again_what_was_made_from_the_old_log(
    store_with_base: None, context: Context, tmp_path: Path
) -> None:
    refresh(context, tmp_path / "old", 60, replace=False)
    names = ("ml-100k/lrurec", "ml-100k/ensemble", RANKER)
    old = {name: context.store.open(name).manifest.digest for name in names}
    refresh(context, tmp_path / "new", 70, replace=True)
    assert not any(context.is_stale(name) for name in names)
    assert all(context.store.open(name).manifest.digest != digest for name, digest in old.items())
    assert len(Recommender(context, "ml-100k", RANKER).recommend(["The Film 05 (1955)"]).items) == 10


def test_what_is_up_to_date_is_not_trained_again(store_with_base: None, context: Context, tmp_path: Path) -> None:
    refresh(context, tmp_path / "old", 60, replace=False)
    folder = context.store.open("ml-100k/lrurec").path.stat().st_ino
    train_ranker(context, RankerRequest("ml-100k", strategy="signals", overrides=OVERRIDES, replace=True))
    assert context.store.open("ml-100k/lrurec").path.stat().st_ino == folder


def test_without_leave_nothing_is_replaced(store_with_base: None, context: Context, tmp_path: Path) -> None:
    refresh(context, tmp_path / "old", 60, replace=False)
    context.store.remove(RANKER)
    with pytest.raises(LlamaRecError, match="trained on another version of ml-100k"):
        refresh(context, tmp_path / "new", 70, replace=False)
