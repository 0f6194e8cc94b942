"""Titles as prompts contain them: truncated to a number of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.strategies.prompt import MAX_TITLE_TOKENS


class TruncatedTitles:
    """Titles of items, truncated to their first tokens; each is tokenised once, at its first use.

    Args:
        text: The base model's tokenizer.
        titles: Title of each item id.
        max_tokens: Titles with more tokens are truncated.
    """

    def __init__(self, text: TextTokenizer, titles: Sequence[str], max_tokens: int = MAX_TITLE_TOKENS) -> None:
        self._text, self._titles, self._max_tokens = text, titles, max_tokens
        self._truncated: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._titles)

    def __getitem__(self, item: int) -> str:
        """Return the title of an item id."""
        item = int(item)
        if item not in self._truncated:
            self._truncated[item] = self._text.truncate(self._titles[item], self._max_tokens)
        return self._truncated[item]

    def of(self, items: Sequence[int]) -> list[str]:
        """Return the titles of several item ids."""
        return [self[item] for item in items]
