"""Tiny random models of many architectures, with settings that make what is peculiar to each count."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

VOCABULARY = 258
_LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_GEMMA = {**_LLAMA, "head_dim": 8}

# Arguments of each configuration. Weights are drawn wide, so that attention is far from even.
_ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", _LLAMA),
    "mistral, window of 24": ("mistral", {**_LLAMA, "sliding_window": 24}),
    "qwen2": ("qwen2", _LLAMA),
    "qwen3": ("qwen3", _GEMMA),
    "gemma": ("gemma", _GEMMA),
    "gemma2, capped at 3, window of 24": (
        "gemma2",
        {**_GEMMA, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 2.0, "sliding_window": 24},
    ),
    "gemma3, window of 24": ("gemma3_text", {**_GEMMA, "num_hidden_layers": 6, "sliding_window": 24}),
    "granite": (
        "granite",
        {
            **_LLAMA,
            "logits_scaling": 8.0,
            "embedding_multiplier": 6.0,
            "attention_multiplier": 0.3,
            "residual_multiplier": 0.5,
            "initializer_range": 1.0,
        },
    ),
    "cohere": ("cohere", {**_LLAMA, "logit_scale": 0.0625, "initializer_range": 1.0}),
    "olmo2": ("olmo2", _LLAMA),
    "phi3": ("phi3", _LLAMA),
    "gpt2": ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 2048}),
    "opt": (
        "opt",
        {
            "hidden_size": 32,
            "ffn_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "word_embed_proj_dim": 16,
            "init_std": 0.2,
        },
    ),
    "bloom": ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "falcon, biases by distance": (
        "falcon",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True},
    ),
    "gpt_neo, window of 24": (
        "gpt_neo",
        {
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 24,
        },
    ),
    "gpt_neox": (
        "gpt_neox",
        {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
    ),
    "mpt, biases by distance": ("mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2}),
    "mamba": ("mamba", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}),
}
ARCHITECTURES = tuple(_ARGUMENTS)


def tiny_model(architecture: str, **arguments: Any) -> Any:
    """A random model of an architecture, in float32."""
    kind, own = _ARGUMENTS[architecture]
    shared = {"vocab_size": VOCABULARY, "initializer_range": 0.2, "bos_token_id": None, "eos_token_id": 256}
    config = AutoConfig.for_model(kind, **{**shared, "pad_token_id": 256, **own, **arguments})
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def tiny_t5() -> Any:
    """A random model with an encoder."""
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, decoder_start_token_id=0
    )
    return transformers.T5ForConditionalGeneration(config).eval()


def tiny_bert() -> Any:
    """A random model whose tokens see those behind them."""
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.2,
    )
    return transformers.BertLMHeadModel(config).eval()
