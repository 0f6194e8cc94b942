"""Text to token ids: leading special tokens as the tokenizer wants them, none behind the text and none within it.

A trailing special token would end the prompt before its answer. Titles are user data: the characters `<|im_end|>` in a
title are encoded as ordinary characters, never as the control token of that name.
"""

from __future__ import annotations

from typing import Any

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.catalogue import OTHER_BASE_HINT

# Encoded with and without special tokens, to find those that precede a text. Any two words would do.
_PROBE = "a b"


class TextTokenizer:
    """Encodes texts with a base model's tokenizer.

    Args:
        tokenizer: A transformers tokenizer.

    Raises:
        LlamaRecError: The tokenizer encodes a text differently with special tokens around it than without.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        plain, whole = self.plain(_PROBE), list(tokenizer.encode(_PROBE))
        starts = [start for start in range(len(whole)) if plain and whole[start : start + len(plain)] == plain]
        if not starts:
            raise LlamaRecError(
                "This base model's tokenizer encodes a text differently with special tokens than without.",
                OTHER_BASE_HINT,
            )
        self._leading = whole[: starts[0]]

    def plain(self, text: str) -> list[int]:
        """Return the token ids of a text without special tokens."""
        ids = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return list(ids)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, preceded by the special tokens that begin a sequence."""
        return [*self._leading, *self.plain(text)]

    def continuation(self, prefix: str, text: str) -> list[int] | None:
        """Return the token ids that a text adds to a prefix; None if a token would span the boundary."""
        prefix_ids, whole = self.plain(prefix), self.plain(prefix + text)
        return whole[len(prefix_ids) :] if whole[: len(prefix_ids)] == prefix_ids else None

    def truncate(self, text: str, tokens: int) -> str:
        """Return the beginning of a text that has at most so many tokens, cut between characters."""
        if len(self.plain(text)) <= tokens:
            return text
        text = text.strip()
        end = self._truncation_point(text, tokens)
        # A character may span several tokens. The end found may lie behind such a character.
        while end and len(self.plain(text[:end])) > tokens:
            end -= 1
        return text[:end].strip()

    def _truncation_point(self, text: str, tokens: int) -> int:
        """Return the offset in characters at which the first tokens end, or that of the character they end within."""
        if getattr(self._tokenizer, "is_fast", False):
            offsets = self._tokenizer(
                text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
            )["offset_mapping"]
            if end := int(max(end for _, end in offsets[:tokens])):
                return end
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if len(self.plain(text[:middle])) <= tokens else (low, middle - 1)
        return low
