"""Evaluation through another engine gives the same figures."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_lines import run
from toy_engine import Toy, open_toy

from llamarec_cli.artefacts.context import Context
from llamarec_cli.engines.registry import ENGINES, EngineRow
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.train.ranker import train as train_ranker
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest
from llamarec_cli.store.registry import Store

OVERRIDES = {
    "lrurec": {"width": 16, "blocks": 1, "max_length": 12},
    "training": {"batch_size": 16, "epochs": 2, "validate_every": 8},
}


def evaluated(*arguments: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run("evaluate", "--dataset", "ml-100k", "--json", *arguments).stdout)
    return result


def test_figures_do_not_depend_on_the_engine(
    raw_folder: Path, store_with_base: Store, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_dataset(context, "ml-100k", raw_folder)
    request = RankerRequest("ml-100k", strategy="likelihood", retriever="ml-100k/lrurec", overrides=OVERRIDES)
    train_ranker(context, request)
    monkeypatch.setitem(ENGINES, "toy", EngineRow("toy", open_toy))
    monkeypatch.setattr(Toy, "chunks", 0)

    local = evaluated()
    store_with_base.remove("ml-100k/smollm2-135m.test")
    assert evaluated("--engine", "toy") == local
    assert Toy.chunks == 1

    asked = ("--strategy", "likelihood", "--sample", "8")
    assert evaluated(*asked, "--engine", "toy")["metrics"] == evaluated(*asked)["metrics"]
    assert Toy.chunks == 2
