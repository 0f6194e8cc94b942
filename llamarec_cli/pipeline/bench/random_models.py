"""Models with random weights, whose latency is that of trained models of the same architecture.

Imports no torch before a model is made, since the command line's help lists the architectures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamarec_cli.language_model.catalogue import DEFAULT_BASE

if TYPE_CHECKING:
    import torch

# Type of model and settings of its configuration, by name.
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
    """Return a causal language model with random weights.

    Its vocabulary is at least as large as that of the default base model, whose tokenizer goes with it.

    Args:
        architecture: A name of `ARCHITECTURES`.
        device: Device of the weights.
        dtype: Data type of the weights.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from llamarec_cli.language_model.attention import use_block_attention
    from llamarec_cli.language_model.packed_linear import pack_linears

    model_type, settings = ARCHITECTURES[architecture]
    vocabulary = max(settings["vocab_size"], ARCHITECTURES[DEFAULT_BASE][1]["vocab_size"])
    config = AutoConfig.for_model(model_type, **{**settings, "vocab_size": vocabulary, "max_position_embeddings": 8192})
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    use_block_attention(model)
    pack_linears(model.eval().requires_grad_(False))
    return model
