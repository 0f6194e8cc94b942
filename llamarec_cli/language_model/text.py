"""From text to token ids: special tokens before a text where the tokenizer wants them, none behind it, none within it.

A tokenizer that ends a text with a special token would end the prompt before its answer, and titles are the user's
text: one that holds `<|im_end|>` is written in the tokens of these characters, never as the token that ends a message.
"""

from __future__ import annotations

from typing import Any

from llamarec_cli.errors import LlamaRecError

# Any text of two words, with which the special tokens around a text are found.
_PROBE = "a b"


class Text:
    """Token ids of texts.

    Args:
        tokenizer: The base model's.

    Raises:
        LlamaRecError: It writes a text otherwise between special tokens than without.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        bare, whole = self.plain(_PROBE), list(tokenizer.encode(_PROBE))
        begins = [begin for begin in range(len(whole)) if bare and whole[begin : begin + len(bare)] == bare]
        if not begins:
            raise LlamaRecError(
                "This base model's tokenizer writes a text otherwise where special tokens stand around it.",
                "Choose another base model with --base.",
            )
        self._before = whole[: begins[0]]

    def plain(self, text: str) -> list[int]:
        """Return the token ids of a text without any special token."""
        ids = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return list(ids)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, behind the special tokens that begin every text."""
        return [*self._before, *self.plain(text)]

    def behind(self, left: str, text: str) -> list[int] | None:
        """Return the token ids of a text that stands behind another; None where a token would belong to both."""
        before, whole = self.plain(left), self.plain(left + text)
        return whole[len(before) :] if whole[: len(before)] == before else None

    def cut(self, text: str, tokens: int) -> str:
        """Return a text without what lies beyond its first tokens; never half a character."""
        if len(self.plain(text)) <= tokens:
            return text
        text = text.strip()
        end = self._end_of(text, tokens)
        # Where a character's bytes are several tokens, it ends behind the last of them.
        while end and len(self.plain(text[:end])) > tokens:
            end -= 1
        return text[:end].strip()

    def _end_of(self, text: str, tokens: int) -> int:
        """Return where in a text so many of its tokens end, or within a character behind it."""
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
