"""Which checkpoints are runs of one model and share a column."""

from pathlib import Path
from typing import Any

import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.evaluate.retrievers import columns_of, load_retrievers
from llamarec_cli.pipeline.prepare import need_dataset, prepare_dataset
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact


def checkpoint(name: str, seed: int | None = 1, finished: bool = True, **config: Any) -> Artefact:
    training = {"training": {"epochs": 2} | ({} if seed is None else {"seed": seed})}
    manifest = Manifest(
        name, Kind.RETRIEVER, config=training | config, parents={}, metrics={"finished": finished}, command="test"
    )
    return Artefact(Path(), manifest)


def columns(*checkpoints: Artefact) -> dict[str, str]:
    return columns_of(checkpoints, "games")


def test_checkpoints_that_differ_only_in_their_seed_share_a_column() -> None:
    first, second = (
        checkpoint("games/lrurec", 1),
        checkpoint("games/lrurec-seed-2", 2, set_by={"training.seed": "flag"}),
    )
    assert columns(first, second) == {"games/lrurec": "lrurec", "games/lrurec-seed-2": "lrurec"}


@pytest.mark.parametrize(
    "other",
    [
        checkpoint("games/other", 2, lrurec={"dropout": 0.1}),
        checkpoint("games/other", 2, finished=False),
        checkpoint("games/other", 1),
        checkpoint("games/other", None),
    ],
    ids=["configuration", "not finished", "same seed", "no seed"],
)
def test_any_other_difference_makes_another_column(other: Artefact) -> None:
    assert columns(checkpoint("games/lrurec", 1), other) == {"games/lrurec": "lrurec", "games/other": "other"}


def test_a_short_name_is_never_ambiguous() -> None:
    found = columns(checkpoint("lrurec", 1), checkpoint("games/lrurec", 1, lrurec={"dropout": 0.1}))
    assert found == {"lrurec": "lrurec", "games/lrurec": "games/lrurec"}
    # These are the names of the final order and of a language model alone.
    for reserved in ("llamarec", "verbalizer"):
        assert columns(checkpoint(f"games/{reserved}")) == {f"games/{reserved}": f"games/{reserved}"}


def test_a_data_set_without_a_retriever_is_an_error(context: Context, raw_folder: Path) -> None:
    prepare_dataset(context, "ml-100k", raw_folder)
    data, _ = need_dataset(context, "ml-100k")
    with pytest.raises(LlamaRecError, match="Nothing has been trained on ml-100k") as raised:
        load_retrievers(context, "ml-100k", data, "ml-100k/smollm2-135m")
    assert raised.value.hint == "llamarec train retriever --dataset ml-100k"
