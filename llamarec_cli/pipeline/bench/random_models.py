"""Architectures that can be measured with random weights: what a forward pass takes does not depend on them."""

from __future__ import annotations

from typing import Any

import torch

from llamarec_cli.language_model.attention import use_block_attention
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.language_model.packed_linear import pack_linears

# By the arguments of their configuration.
ARCHITECTURES: dict[str, tuple[str, dict[str, int]]] = {
    "smollm2-135m": (
        "llama",
        {
            "vocab_size": 49_152,
            "hidden_size": 576,
            "intermediate_size": 1_536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
        },
    ),
    "tinyllama-1.1b": (
        "llama",
        {
            "vocab_size": 32_000,
            "hidden_size": 2_048,
            "intermediate_size": 5_632,
            "num_hidden_layers": 22,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
        },
    ),
    "llama-2-7b": (
        "llama",
        {
            "vocab_size": 32_000,
            "hidden_size": 4_096,
            "intermediate_size": 11_008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
        },
    ),
}


def random_model(architecture: str, device: torch.device, dtype: torch.dtype) -> Any:
    """Return a causal language model of an architecture with random weights, to be measured.

    Its vocabulary is made at least as large as that of the default base model, whose tokenizer is used with it.

    Args:
        architecture: A name of `ARCHITECTURES`.
        device: Where it goes.
        dtype: What it computes in.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, arguments = ARCHITECTURES[architecture]
    vocabulary = max(arguments["vocab_size"], ARCHITECTURES[DEFAULT_BASE][1]["vocab_size"])
    config = AutoConfig.for_model(kind, **{**arguments, "vocab_size": vocabulary, "max_position_embeddings": 8192})
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    use_block_attention(model)
    pack_linears(model.eval().requires_grad_(False))
    return model
