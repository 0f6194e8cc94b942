"""What a blend needs is told before it is made, and only what is missing."""

import dataclasses
from pathlib import Path

import pytest
from fakes import byte_tokenizer, tiny_llama

from llamarec_cli.artefacts.context import Context
from llamarec_cli.pipeline.prepare import need_dataset, prepare_dataset
from llamarec_cli.pipeline.train.forecast import announce_members
from llamarec_cli.pipeline.train.ranker import train
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Store

OVERRIDES = {
    "lrurec": {"width": 8, "blocks": 1, "max_length": 12},
    "textrec": {"width": 8, "blocks": 1, "max_length": 12, "dimensions": 8, "hidden": 8},
    "training": {"batch_size": 16, "epochs": 4, "validate_every": 8},
}


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def telling(context: Context, raw_folder: Path, told: list[str]) -> Context:
    prepare_dataset(context, "ml-100k", raw_folder)
    return dataclasses.replace(context, say=told.append)


def test_a_ranker_of_an_empty_store_says_what_it_makes_and_makes_it(
    telling: Context, told: list[str], tmp_path: Path
) -> None:
    tiny_llama().save_pretrained(tmp_path / "tiny")
    byte_tokenizer().save_pretrained(tmp_path / "tiny")
    made = train(telling, "ml-100k", base=str(tmp_path / "tiny"), overrides=OVERRIDES)
    assert made is not None
    assert made.manifest.config["strategy"] == "signals"
    (forecast,) = (one for one in told if one.startswith("To be made first"))
    assert "lrurec in at most 15 minutes, textrec in at most 35 minutes, the titles read by " in forecast
    assert "in about 1; 51 minutes at most" in forecast
    retrievers = {"ml-100k/lrurec", "ml-100k/textrec", "ml-100k/ensemble"}
    assert set(telling.store.names(Kind.RETRIEVER)) == retrievers
    groups = made.manifest.metrics["fusion"]["groups"]
    assert list(groups) == ["retriever", "without a language model", "retriever + signals"]
    assert "textrec" in groups["retriever + signals"]["coefficients"]


def test_what_is_there_is_not_told(telling: Context, told: list[str], store: Store) -> None:
    data, _ = need_dataset(telling, "ml-100k")
    announce_members(telling, "ml-100k", data, ["lrurec", "my-own"], None, 7)
    assert told == ["To be made first: lrurec in at most 7 minutes; 7 minutes at most, less if they end early."]
    announce_members(telling, "ml-100k", data, ["my-own"], None, 7)
    assert len(told) == 1
