"""A saved state that does not read is told, set aside and begun anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.pipeline.train.retriever import train
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.store.registry import UNREADABLE, Store

TENSORS = {"model.a": torch.arange(6.0).reshape(2, 3), "best.a": torch.zeros(2, 3, dtype=torch.bfloat16)}
NUMBERS = {"validations": [], "seconds": 1.5, "finished": False}

Change = Callable[[dict[str, Any], dict[str, str]], Any]


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def states(store: Store, warned: list[str]) -> TrainingStates:
    return TrainingStates(Context(store, "test", warn=warned.append), "games/lrurec", {"width": 8})


def test_what_was_saved_is_what_is_loaded(states: TrainingStates, warned: list[str]) -> None:
    assert states.load() is None
    states.save(TENSORS | {"scalar": torch.tensor(3), "empty": torch.zeros(0)}, NUMBERS)
    saved = states.load()
    assert saved is not None
    assert saved[1] == NUMBERS
    assert all(torch.equal(saved[0][name], tensor) for name, tensor in TENSORS.items())
    assert warned == []


CHANGES: dict[str, Change] = {
    "no metadata": lambda tensors, header: header.clear(),
    "no recipe": lambda tensors, header: header.pop("recipe", None),
    "no numbers": lambda tensors, header: header.pop("numbers", None),
    "no digest": lambda tensors, header: header.pop("content", None),
    "other JSON": lambda tensors, header: header.update(numbers="[]"),
    "other numbers": lambda tensors, header: header.update(numbers='{"validations": 3}'),
    "no JSON": lambda tensors, header: header.update(numbers="{"),
    "nested JSON": lambda tensors, header: header.update(numbers="[" * 100_000),
    "a tensor less": lambda tensors, header: tensors.pop("best.a", None),
    "a tensor more": lambda tensors, header: tensors.update(more=torch.zeros(1)),
    "another name": lambda tensors, header: tensors.update({"model.b": tensors.pop("model.a")}),
    "another shape": lambda tensors, header: tensors.update({"model.a": tensors["model.a"].reshape(3, 2).clone()}),
    "another type": lambda tensors, header: tensors.update({"model.a": tensors["model.a"].half()}),
    "another value": lambda tensors, header: tensors.update({"model.a": tensors["model.a"] + 1}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_state_that_was_changed_is_set_aside(
    states: TrainingStates, store: Store, warned: list[str], change: str
) -> None:
    states.save(TENSORS, NUMBERS)
    path = store.training_state("games/lrurec")
    tensors = load_file(path)
    with safe_open(path, "pt") as opened:
        header = opened.metadata()
    CHANGES[change](tensors, header)
    save_file(tensors, path, metadata=header or None)
    set_aside(states, path, warned)


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 100])
def test_a_state_that_is_none_is_set_aside(
    states: TrainingStates, store: Store, warned: list[str], content: bytes
) -> None:
    states.save(TENSORS, NUMBERS)
    path = store.training_state("games/lrurec")
    path.write_bytes(content)
    set_aside(states, path, warned)


def set_aside(states: TrainingStates, path: Path, warned: list[str]) -> None:
    before = path.read_bytes()
    assert states.load() is None
    (sentence,) = warned
    aside = path.with_name(path.name + UNREADABLE)
    assert "starts anew" in sentence
    assert str(aside) in sentence
    assert aside.read_bytes() == before
    assert states.load() is None
    assert len(warned) == 1
    states.save(TENSORS, NUMBERS)
    assert states.load() is not None


def test_a_training_goes_through_a_damaged_state(
    context: Context, raw_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llamarec_cli.pipeline.prepare import prepare_dataset

    prepare_dataset(context, "ml-100k", raw_folder)
    small: dict[str, Any] = {"lrurec": {"width": 8, "blocks": 1}, "training": {"epochs": 1, "validate_every": 5}}
    path = context.store.training_state("ml-100k/lrurec")
    path.parent.mkdir()
    header = {"recipe": "{}", "numbers": json.dumps({"validations": [{}]})}
    save_file({"model.x": torch.zeros(1)}, path, metadata=header)
    assert train(context, RetrieverRequest("ml-100k", overrides=small)).manifest.name == "ml-100k/lrurec"
    assert [one.name for one in path.parent.iterdir()] == [path.name + UNREADABLE]
