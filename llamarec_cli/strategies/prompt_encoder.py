"""From item ids to the token ids of the paper's prompt: cut titles, the recent items of a history, tokens a piece.

Titles are tokenised once. Fewer items of a history are read where the base model has no positions for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.pieces import PieceTokenizer
from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.ranking.examples import MAX_HISTORY
from llamarec_cli.strategies.prompt import MAX_TITLE_TOKENS, prompt_pieces
from llamarec_cli.strategies.verbalizer.verbalizer import choose_labels

Read = TypeVar("Read")


@dataclass(frozen=True)
class Prompt:
    """A prompt as the model reads it.

    Attributes:
        ids: Token ids.
        shared: How many of them, at the beginning, do not depend on the candidates; 0 where that is not known.
    """

    ids: list[int]
    shared: int


class PromptEncoder:
    """From item ids to token ids: cuts titles, keeps the last 20 items, renders, tokenises.

    Args:
        tokenizer: The base model's.
        titles: Title of each item id.
        max_title_tokens: Where longer titles are cut.
        positions: How many tokens the base model can tell the places of; None for any number. Fewer items of a history
            are read where a prompt and its answer would be longer.

    Attributes:
        tokenizer: As given.
        text: Texts to token ids.
        positions: As given.
        label_ids: Token id of each index letter.
    """

    def __init__(
        self,
        tokenizer: Any,
        titles: Sequence[str],
        max_title_tokens: int = MAX_TITLE_TOKENS,
        positions: int | None = None,
    ) -> None:
        self.tokenizer, self.text, self.positions = tokenizer, TextTokenizer(tokenizer), positions
        self._max_title_tokens = max_title_tokens
        self._titles = titles
        self._short: dict[int, str] = {}
        self._tokens = PieceTokenizer(tokenizer)
        self._labels, self.label_ids = choose_labels(self.text)

    def title(self, item: int) -> str:
        """Return an item's title, cut if it is too long."""
        if item not in self._short:
            self._short[item] = self.text.truncate(self._titles[item], self._max_title_tokens)
        return self._short[item]

    def titles(self, items: Sequence[int]) -> list[str]:
        """Return the titles of some items, those cut that are too long."""
        return [self.title(int(item)) for item in items]

    def encode(self, history: Sequence[int], candidates: Sequence[int]) -> list[int]:
        """Return the token ids of the prompt; see `prompt`."""
        return self.prompt(history, candidates).ids

    def prompt(self, history: Sequence[int], candidates: Sequence[int]) -> Prompt:
        """Return the prompt of one user.

        Args:
            history: Item ids, oldest first; the last `MAX_HISTORY` are read, or fewer where those are too long.
            candidates: Item ids, in the order of their letters.

        Raises:
            LlamaRecError: There are more candidates than letters that this tokenizer can write as one token, or their
                titles alone are longer than what the base model reads.
        """
        if len(candidates) > len(self._labels):
            raise LlamaRecError(
                f"This base model's tokenizer has single tokens for {len(self._labels)} index letters, "
                f"and there are {len(candidates)} candidates.",
                f"Give --k {len(self._labels)} or less, or another base model with --base.",
            )
        pool = self.titles(candidates)

        def read(items: Sequence[int]) -> tuple[Prompt, int]:
            ids, ends = self._tokens.encode(prompt_pieces(self.titles(items), pool, self._labels))
            # A mark and a title for each item of the history, or the one piece that says there is none; then the
            # first candidate's mark, which is the same for all pools. In training a letter follows the prompt.
            return Prompt(ids, ends[max(1, 2 * len(items))] if ends else 0), len(ids) + 1

        return within_positions(history, self.positions, read)


def cut_title(tokenizer: Any, title: str, tokens: int = MAX_TITLE_TOKENS) -> str:
    """Return a title without what lies beyond its first tokens, counted without special ones."""
    return TextTokenizer(tokenizer).truncate(title, tokens)


def within_positions(
    history: Sequence[int], positions: int | None, read: Callable[[Sequence[int]], tuple[Read, int]]
) -> Read:
    """Return what is read of the most recent items of a history that the model has positions for.

    Args:
        history: Item ids, oldest first; the last `MAX_HISTORY` are read, or fewer where those are too long.
        positions: How many tokens the model can tell the places of; None for any number.
        read: Given items, returns what is made of them and how many tokens the model reads for it.

    Raises:
        LlamaRecError: Even with one item, or with none where there is none, there are too many.
    """
    recent = history[-MAX_HISTORY:]
    length = 0
    for begin in range(max(1, len(recent))):
        made, length = read(recent[begin:])
        if positions is None or length <= positions:
            return made
    raise LlamaRecError(
        f"A prompt of {length} tokens, the shortest here, is longer than the {positions} that this base model reads.",
        "Rank fewer candidates with --k, or choose another base model with --base.",
    )
