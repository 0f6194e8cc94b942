"""What tests build on: a data set in a ring, a byte tokenizer, tiny models with random weights."""

from __future__ import annotations

import random
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

from llamarec_cli.ranking.examples import RankingExample

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
ITEMS = 40
USERS = 60
LENGTH = 12


def shared_data(name: str) -> Path:
    """Return a real data set beside the checkout, or skip."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"shared data set {name} is not beside this checkout")
    return folder


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


def write_alternating(path: Path, users: int = 20, *, doubled: bool = False) -> Path:
    """Write a log of users who begin with one of five items and then take two in turn: x, a, b, a, b, a.

    Args:
        path: The file.
        users: Number of users.
        doubled: Whether every row is written twice.
    """
    steps = [(user, item) for user in range(users) for item in (f"x{user % 5}", *"ababa")]
    rows = [f"u{user},{item},Title {item}\n" * (2 if doubled else 1) for user, item in steps]
    path.write_text("user,item,title\n" + "".join(rows))
    return path


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
