"""The forecast lists the missing retrievers of a blend, and only those."""

import dataclasses
from pathlib import Path

import pytest
from fakes import byte_tokenizer, tiny_llama

from llamarec_cli.artefacts.context import Context
from llamarec_cli.pipeline.prepare import need_dataset, prepare_dataset
from llamarec_cli.pipeline.train.forecast import announce_members
from llamarec_cli.pipeline.train.ranker import train
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.store.manifest import Kind

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


def test_a_ranker_on_an_empty_store_announces_and_trains_its_retrievers(
    telling: Context, told: list[str], tmp_path: Path
) -> None:
    tiny_llama().save_pretrained(tmp_path / "tiny")
    byte_tokenizer().save_pretrained(tmp_path / "tiny")
    made = train(telling, RankerRequest("ml-100k", str(tmp_path / "tiny"), overrides=OVERRIDES))
    assert made is not None
    assert made.manifest.config["strategy"] == "signals"
    (forecast,) = (one for one in told if one.startswith("Training first"))
    assert "lrurec (at most 15 minutes), textrec (at most 35 minutes), reading the titles with " in forecast
    assert "(about 1 minute), 51 minutes at most in all; less if training stops early." in forecast
    retrievers = {"ml-100k/lrurec", "ml-100k/textrec", "ml-100k/ensemble"}
    assert set(telling.store.names(Kind.RETRIEVER)) == retrievers
    groups = made.manifest.metrics["fusion"]["groups"]
    assert list(groups) == ["retriever", "without a language model", "retriever + signals"]
    assert "textrec" in groups["retriever + signals"]["coefficients"]


def test_only_missing_retrievers_are_listed(telling: Context, told: list[str]) -> None:
    data, _ = need_dataset(telling, "ml-100k")
    request = RetrieverRequest("ml-100k", model="ensemble", max_minutes=7)
    announce_members(telling, request, data, ["lrurec", "my-own"])
    assert told == ["Training first: lrurec (at most 7 minutes); less if training stops early."]
    announce_members(telling, request, data, ["my-own"])
    assert len(told) == 1
