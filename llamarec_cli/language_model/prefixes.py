"""Keys and values of the beginnings of prompts, kept, so that a prompt that begins like an earlier one costs its end.

A prompt begins with the history: ranking other candidates for the same user, or after one more item while the window of
20 has not moved, reads only what is new. What causal attention computes at a position depends on nothing behind it, so
the result is the same.

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

from llamarec_cli.language_model.fast_paths import takes_short_cuts

# A history of 20 items takes about 8 MB with the default base model.
DEFAULT_BYTES = 256 * 2**20

Layers = list[tuple[Tensor, Tensor]]


class PrefixCache:
    """Runs a model over prompts, and keeps what it computed of their beginnings; least recently used goes first.

    Args:
        transformer: A transformers causal language model without its head.
        device: Where it is.
        max_bytes: What all keys and values may take; 0 keeps none and asks for none.

    Attributes:
        max_bytes: As given, and 0 for architectures that do not keep keys and values which can be cut; may be set to 0.
        bytes: What they take.
        computed: Tokens that were computed, of all prompts so far.
    """

    def __init__(self, transformer: Any, device: torch.device, max_bytes: int = DEFAULT_BYTES) -> None:
        self._transformer, self._device = transformer, device
        self.max_bytes = max_bytes if takes_short_cuts(transformer.config) else 0
        # transformers renamed the argument in 5.24, and has taken the old name only with a warning since.
        asked = inspect.signature(type(transformer).forward).parameters
        self._argument = "cache" if "cache" in asked else "past_key_values"
        self._kept: OrderedDict[bytes, Layers] = OrderedDict()
        self.bytes = 0
        self.computed = 0

    def hidden(
        self, ids: Sequence[int], keep: int, positions: Sequence[int] | None = None, mask_LL: Tensor | None = None
    ) -> Tensor:
        """Return the hidden states of the last N tokens of a prompt, N x D; all others are known from before.

        Args:
            ids: Token ids of the prompt, L of them.
            keep: How many at its beginning may be asked again; they must follow each other causally.
            positions: Position of each token; 0 to L - 1 by default.
            mask_LL: What is added to the scores of attention; causality alone by default.
        """
        wanted = np.asarray(ids, dtype=np.int32)
        keep = min(keep, len(ids) - 1)
        key, known = self._longest(wanted[:keep]) if self.max_bytes else (None, 0)
        cache = self._opened(key, known)
        new = torch.from_numpy(wanted[known:].astype(np.int64)).unsqueeze(0).to(self._device)
        asked: dict[str, Any] = {} if cache is None else {self._argument: cache}
        if positions is not None:
            asked["position_ids"] = torch.tensor([positions[known:]], device=self._device)
        if mask_LL is not None:
            asked["attention_mask"] = mask_LL[known:].to(self._device)[None, None]
        hidden_ND: Tensor = self._transformer(input_ids=new, use_cache=cache is not None, **asked).last_hidden_state[0]
        self.computed += len(hidden_ND)
        if cache is not None and keep > known:
            self._keep(wanted[:keep], [(layer.keys, layer.values) for layer in cache.layers])
        return hidden_ND

    def _longest(self, beginning: npt.NDArray[np.int32]) -> tuple[bytes | None, int]:
        """Return the key of the kept prefix that shares most tokens with a beginning, and how many."""
        best, shared = None, 0
        for key in self._kept:
            tokens = np.frombuffer(key, dtype=np.int32)[: len(beginning)]
            differing = np.flatnonzero(tokens != beginning[: len(tokens)])
            common = int(differing[0]) if len(differing) else len(tokens)
            if common > shared:
                best, shared = key, common
        return best, shared

    def _opened(self, key: bytes | None, known: int) -> Any:
        """Return a cache for transformers to go on from, or None where nothing is to be kept."""
        from transformers import DynamicCache

        if not self.max_bytes:
            return None
        if key is None:
            return DynamicCache()
        self._kept.move_to_end(key)
        return DynamicCache([(keys[:, :, :known], values[:, :, :known]) for keys, values in self._kept[key]])

    def _keep(self, tokens: npt.NDArray[np.int32], layers: Layers) -> None:
        # Copies: a view would hold on to the whole prompt's.
        views = [(keys[:, :, : len(tokens)], values[:, :, : len(tokens)]) for keys, values in layers]
        if _size(views) > self.max_bytes:
            return
        copies = [(keys.clone(), values.clone()) for keys, values in views]
        self._kept[tokens.tobytes()] = copies
        self.bytes += _size(copies)
        while self.bytes > self.max_bytes:
            self.bytes -= _size(self._kept.popitem(last=False)[1])


def _size(layers: Layers) -> int:
    return sum(tensor.numel() * tensor.element_size() for pair in layers for tensor in pair)
