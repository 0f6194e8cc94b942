"""Which architectures may be run otherwise than transformers runs them, and how far their attention reaches.

What makes ranking fast rests on how an architecture is written: that what a token sees depends on positions and masks
that are given, or on the distance within a window that the configuration tells; that keys and values may be cut
anywhere, and mean the same in a longer text; that linear maps are only ever called. It holds for those below, and each
is tested. Any other is run as transformers runs it, every text alone and from its first token on.
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
# Rotations that depend on how long the whole text is.
_BY_LENGTH = frozenset({"dynamic", "longrope"})


def takes_short_cuts(config: Any) -> bool:
    """Return whether an architecture may be given masks, positions, keys and values of this package's own."""
    rotation = getattr(config, "rope_parameters", None) or {}
    kinds = [rotation, *(one for one in rotation.values() if isinstance(one, dict))]
    return config.model_type in _ARCHITECTURES and not any(one.get("rope_type") in _BY_LENGTH for one in kinds)


def sees_all(config: Any, tokens: int) -> bool:
    """Return whether the last of so many tokens sees the first one in every layer."""
    windows = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return all(window is None or tokens <= window for window in windows)
