"""From the pieces of a prompt to token ids, each piece tokenised once.

Titles repeat from user to user, and tokenising is all that a prompt costs beside the model. What makes it safe is that
most tokenizers never let a token reach over a space before a word: that is checked for each piece when it is first
seen, between neighbours like those it has in a prompt, and a prompt with a piece that fails is tokenised as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llamarec_cli.language_model.text import Text

# What stands around a title in a prompt.
_LEFT, _RIGHT = "(1)", " \n (2)"


class PieceTokens:
    """Token ids of pieces of text, kept.

    Args:
        tokenizer: The base model's.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._text = Text(tokenizer)
        self._kept: dict[tuple[str, bool, bool], list[int] | None] = {}
        self._before = self._text.plain(_LEFT)
        self._after = self._text.behind(_LEFT, _RIGHT)

    def encode(self, pieces: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the token ids of a text, special ones at its beginning included, and where each piece ends in them.

        Args:
            pieces: What the text is made of.

        Returns:
            The ids that the tokenizer gives the whole text, and after how many of them each piece ends; the latter is
            empty where tokens reach over the bounds of pieces.
        """
        ids: list[int] = []
        ends: list[int] = []
        for place, piece in enumerate(pieces):
            key = (piece, place == 0, place == len(pieces) - 1)
            if key not in self._kept:
                self._kept[key] = self._apart(*key)
            part = self._kept[key]
            if part is None:
                return self._text.encode("".join(pieces)), []
            ids += part
            ends.append(len(ids))
        return ids, ends

    def _apart(self, piece: str, first: bool, last: bool) -> list[int] | None:
        """Return a piece's own tokens, or None where one of them belongs to a neighbour as well."""
        before = [] if first else self._before
        after = [] if last else self._after
        if after is None:
            return None
        text = ("" if first else _LEFT) + piece + ("" if last else _RIGHT)
        ids = self._text.encode(text) if first else self._text.plain(text)
        end = len(ids) - len(after)
        if ids[: len(before)] != before or ids[end:] != after:
            return None
        return ids[len(before) : end]
