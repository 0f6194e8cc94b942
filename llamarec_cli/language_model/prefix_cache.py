"""Prefix cache: keys and values of earlier prompts, so that a prompt that shares a prefix computes only its remainder.

A prompt begins with the history. Ranking other candidates for the same user, or after one more item while the window of
20 has not moved, computes only the new tokens. Attention is causal, so the result does not change.

Shapes: L tokens of a prompt, N of them computed, D hidden size.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llamarec_cli.language_model.fast_paths import supports_fast_paths

# A history of 20 items takes about 8 MB with the default base model.
DEFAULT_BYTES = 256 * 2**20

# Keys and values of each layer.
Layers = list[tuple[Tensor, Tensor]]


class PrefixCache:
    """Runs a transformer over prompts and caches keys and values of their prefixes, with least-recently-used eviction.

    Args:
        transformer: A transformers causal language model without its head.
        device: Device of the transformer.
        max_bytes: Capacity; 0 disables the cache.

    Attributes:
        max_bytes: Capacity; 0 for architectures whose cache cannot be truncated. May be set to 0 later.
        bytes: Memory used by cached keys and values.
        computed_tokens: Tokens computed so far, over all prompts.
    """

    def __init__(self, transformer: Any, device: torch.device, max_bytes: int = DEFAULT_BYTES) -> None:
        self._transformer, self._device = transformer, device
        self.max_bytes = max_bytes if supports_fast_paths(transformer.config) else 0
        # transformers 5.24 renamed the argument and warns about the old name.
        parameters = inspect.signature(type(transformer).forward).parameters
        self._cache_argument = "cache" if "cache" in parameters else "past_key_values"
        self._entries: OrderedDict[bytes, Layers] = OrderedDict()
        self.bytes = 0
        self.computed_tokens = 0

    def hidden_states(
        self, ids: Sequence[int], prefix: int, positions: Sequence[int] | None = None, mask_LL: Tensor | None = None
    ) -> Tensor:
        """Return the hidden states of the last N tokens of a prompt, N x D; the tokens before them are cached.

        Args:
            ids: Token ids of the prompt, L of them.
            prefix: Number of leading tokens to cache; within them, attention must be causal.
            positions: Position of each token; 0 to L - 1 by default.
            mask_LL: Additive attention mask; causal by default.
        """
        tokens = np.asarray(ids, dtype=np.int32)
        prefix = min(prefix, len(ids) - 1)
        key, known = self._longest_match(tokens[:prefix]) if self.max_bytes else (None, 0)
        cache = self._open(key, known)
        new = torch.from_numpy(tokens[known:].astype(np.int64)).unsqueeze(0).to(self._device)
        arguments: dict[str, Any] = {} if cache is None else {self._cache_argument: cache}
        if positions is not None:
            arguments["position_ids"] = torch.tensor([positions[known:]], device=self._device)
        if mask_LL is not None:
            arguments["attention_mask"] = mask_LL[known:].to(self._device)[None, None]
        hidden_ND: Tensor = self._transformer(
            input_ids=new, use_cache=cache is not None, **arguments
        ).last_hidden_state[0]
        self.computed_tokens += len(hidden_ND)
        if cache is not None and prefix > known:
            self._store(tokens[:prefix], [(layer.keys, layer.values) for layer in cache.layers])
        return hidden_ND

    def _longest_match(self, prefix: npt.NDArray[np.int32]) -> tuple[bytes | None, int]:
        """Return the key of the entry that shares the most leading tokens with a prefix, and their number."""
        best, shared = None, 0
        for key in self._entries:
            tokens = np.frombuffer(key, dtype=np.int32)[: len(prefix)]
            differing = np.flatnonzero(tokens != prefix[: len(tokens)])
            common = int(differing[0]) if len(differing) else len(tokens)
            if common > shared:
                best, shared = key, common
        return best, shared

    def _open(self, key: bytes | None, known: int) -> Any:
        """Return a transformers cache that holds the first tokens of an entry; None if the cache is disabled."""
        from transformers import DynamicCache

        if not self.max_bytes:
            return None
        if key is None:
            return DynamicCache()
        self._entries.move_to_end(key)
        return DynamicCache([(keys[:, :, :known], values[:, :, :known]) for keys, values in self._entries[key]])

    def _store(self, tokens: npt.NDArray[np.int32], layers: Layers) -> None:
        """Add an entry, and evict the least recently used ones beyond the capacity."""
        views = [(keys[:, :, : len(tokens)], values[:, :, : len(tokens)]) for keys, values in layers]
        if _size(views) > self.max_bytes:
            return
        # A view would keep the tensors of the whole prompt alive.
        copies = [(keys.clone(), values.clone()) for keys, values in views]
        self._entries[tokens.tobytes()] = copies
        self.bytes += _size(copies)
        while self.bytes > self.max_bytes:
            self.bytes -= _size(self._entries.popitem(last=False)[1])


def _size(layers: Layers) -> int:
    return sum(tensor.numel() * tensor.element_size() for pair in layers for tensor in pair)
