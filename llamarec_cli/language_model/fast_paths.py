"""Architectures that may run on this package's fast paths instead of as transformers runs them.

The fast paths are custom attention masks and positions, truncated key-value caches, and packed linear layers. They need
an architecture in which a token's attention depends only on the positions and masks passed in, or on a distance within
the configured window; in which cached keys and values may be truncated anywhere and stay valid in a longer text; and
which uses its linear layers only by calling them. Each architecture listed below is tested for that. Any other runs as
transformers runs it: each text by itself, from its first token.
"""

from __future__ import annotations

from typing import Any

_ARCHITECTURES = frozenset(
    {
        "cohere",
        "gemma",
        "gemma2",
        "gemma3_text",
        "gpt2",
        "granite",
        "llama",
        "mistral",
        "olmo2",
        "opt",
        "phi3",
        "qwen2",
        "qwen3",
    }
)
# Rotary embeddings whose frequencies depend on the length of the sequence.
_LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})


def supports_fast_paths(config: Any) -> bool:
    """Return whether an architecture may run with custom masks, positions, key-value caches and linear layers.

    Args:
        config: A transformers model configuration.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    # Some architectures have one set of parameters per type of layer.
    variants = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    length_dependent = any(variant.get("rope_type") in _LENGTH_DEPENDENT_ROPE for variant in variants)
    return config.model_type in _ARCHITECTURES and not length_dependent


def attends_to_everything(config: Any, tokens: int) -> bool:
    """Return whether the last token of a sequence attends to the first one in every layer.

    Args:
        config: A transformers model configuration.
        tokens: Length of the sequence.
    """
    windows = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return all(window is None or tokens <= window for window in windows)
