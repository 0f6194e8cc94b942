"""Histories that people hand in: JSON into a list of titles or raw ids."""

from __future__ import annotations

import json

from llamarec_cli.errors import HistoryError

_FORMS = 'Write a list of titles or item ids, such as ["Toy Story (1995)", "Fargo"], or {"history": [...]}.'


def parse_history(text: str, source: str) -> list[str]:
    """Read a history, oldest item first: a JSON list of titles or raw ids, or an object with such a `history`.

    Args:
        text: The JSON.
        source: Where it came from, for the sentence of an error.

    Raises:
        HistoryError: It is not JSON, has another form, or is empty.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise HistoryError(
            f"{source} is not JSON (line {error.lineno}, column {error.colno}: {error.msg}).", _FORMS
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or lists in lists in lists
        raise HistoryError(f"{source} is no history.", _FORMS) from error
    if isinstance(value, dict):
        if "history" not in value:
            raise HistoryError(f'{source} is an object without "history".', _FORMS)
        value = value["history"]
    if not isinstance(value, list):
        raise HistoryError(f"{source} holds no list.", _FORMS)
    entries: list[str] = []
    for place, entry in enumerate(value, start=1):
        if isinstance(entry, bool) or not isinstance(entry, str | int):
            raise HistoryError(f"Entry {place} of {source} is neither a title nor an item id: {entry!r}.", _FORMS)
        entries.append(str(entry))
    if not entries:
        raise HistoryError(f"The history in {source} is empty.", _FORMS)
    return entries
