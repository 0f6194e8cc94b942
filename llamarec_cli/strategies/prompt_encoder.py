"""Token ids of the paper's prompt: titles truncated, history cut to what fits into the base model's context.

Titles are tokenised once. Where the base model's context is too short for a prompt, older items of the history are left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.pieces import PieceTokenizer
from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.ranking.examples import recent
from llamarec_cli.strategies.prompt import MAX_TITLE_TOKENS, prompt_pieces
from llamarec_cli.strategies.titles import TruncatedTitles
from llamarec_cli.strategies.verbalizer.verbalizer import choose_labels

Read = TypeVar("Read")


@dataclass(frozen=True)
class Prompt:
    """A tokenised prompt.

    Attributes:
        ids: Token ids.
        shared: Length of the prefix that does not depend on the candidates; 0 where it is unknown.
    """

    ids: list[int]
    shared: int


class PromptEncoder:
    """Renders and tokenises prompts: item ids in, token ids out.

    Args:
        tokenizer: The base model's tokenizer.
        titles: Title of each item id.
        max_title_tokens: Titles with more tokens are truncated.
        positions: Context length of the base model in tokens; None if it is unlimited.

    Attributes:
        tokenizer: As given.
        text: Tokenises text.
        titles: Truncated titles by item id.
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
        self.titles = TruncatedTitles(self.text, titles, max_title_tokens)
        self._tokens = PieceTokenizer(tokenizer)
        self._labels, self.label_ids = choose_labels(self.text)

    def encode(self, history: Sequence[int], candidates: Sequence[int]) -> list[int]:
        """Return the token ids of the prompt; see `prompt`."""
        return self.prompt(history, candidates).ids

    def prompt(self, history: Sequence[int], candidates: Sequence[int]) -> Prompt:
        """Return the prompt of one user.

        Args:
            history: Item ids, oldest first; the prompt contains the last `MAX_HISTORY`, or fewer if these do not fit
                into the base model's context.
            candidates: Item ids, in the order of their letters.

        Raises:
            LlamaRecError: There are more candidates than letters that this tokenizer encodes as one token, or the
                candidates alone do not fit into the base model's context.
        """
        if len(candidates) > len(self._labels):
            raise LlamaRecError(
                f"This base model's tokenizer has single tokens for {len(self._labels)} index letters, "
                f"and there are {len(candidates)} candidates.",
                f"Set `k` to {len(self._labels)} or less, or choose another base model with `base`.",
            )
        pool = self.titles.of(candidates)

        def read(items: Sequence[int]) -> tuple[Prompt, int]:
            ids, ends = self._tokens.encode(prompt_pieces(self.titles.of(items), pool, self._labels))
            # Pieces of the shared prefix: a number and a title for each item of the history, or one piece that says the
            # history is empty; then the first candidate's letter. In training the prompt is followed by a letter.
            return Prompt(ids, ends[max(1, 2 * len(items))] if ends else 0), len(ids) + 1

        return within_positions(history, self.positions, read)


def within_positions(
    history: Sequence[int], positions: int | None, read: Callable[[Sequence[int]], tuple[Read, int]]
) -> Read:
    """Return `read` of the longest recent part of a history that fits into the base model's context.

    Args:
        history: Item ids, oldest first; at most the last `MAX_HISTORY` are used.
        positions: Context length in tokens; None if it is unlimited.
        read: Maps items to a result, and the tokens that the base model must read for it.

    Raises:
        LlamaRecError: Even the last item alone, or an empty history, does not fit.
    """
    items = recent(history)
    length = 0
    for begin in range(max(1, len(items))):
        made, length = read(items[begin:])
        if positions is None or length <= positions:
            return made
    raise LlamaRecError(
        f"A prompt of {length} tokens, the shortest here, is longer than the {positions} that this base model reads.",
        "Rank fewer candidates with `k`, or choose another base model with `base`.",
    )
