"""Token ids of a prompt from those of its pieces, each of which is tokenised once and cached.

Titles recur across users, and tokenising them is the main cost of a prompt outside the model. Most tokenizers never
merge characters across a space before a word, so that a piece has the same tokens in any prompt. Each new piece is
checked between representative neighbours. A prompt with a piece that fails the check is tokenised as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llamarec_cli.language_model.text import TextTokenizer

# Representative neighbours: what stands before and behind a title in a prompt.
_LEFT, _RIGHT = "(1)", " \n (2)"


class PieceTokenizer:
    """Encodes texts that are given in pieces, and caches the token ids of each piece.

    Args:
        tokenizer: A transformers tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._text = TextTokenizer(tokenizer)
        self._cache: dict[tuple[str, bool, bool], list[int] | None] = {}
        self._left_ids = self._text.plain(_LEFT)
        self._right_ids = self._text.continuation(_LEFT, _RIGHT)

    def encode(self, pieces: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the token ids of a text and the offset at which each piece ends.

        Args:
            pieces: Consecutive parts of the text.

        Returns:
            The ids that the tokenizer gives the whole text, leading special tokens included, and the number of ids up
            to the end of each piece. The latter is empty where tokens span boundaries between pieces.
        """
        ids: list[int] = []
        ends: list[int] = []
        for place, piece in enumerate(pieces):
            key = (piece, place == 0, place == len(pieces) - 1)
            if key not in self._cache:
                self._cache[key] = self._piece_ids(*key)
            part = self._cache[key]
            if part is None:
                return self._text.encode("".join(pieces)), []
            ids += part
            ends.append(len(ids))
        return ids, ends

    def _piece_ids(self, piece: str, first: bool, last: bool) -> list[int] | None:
        """Return the token ids of a piece between its neighbours; None if a token spans one of its boundaries."""
        left_ids = [] if first else self._left_ids
        right_ids = [] if last else self._right_ids
        if right_ids is None:
            return None
        text = ("" if first else _LEFT) + piece + ("" if last else _RIGHT)
        ids = self._text.encode(text) if first else self._text.plain(text)
        end = len(ids) - len(right_ids)
        if ids[: len(left_ids)] != left_ids or ids[end:] != right_ids:
            return None
        return ids[len(left_ids) : end]
