"""Histories as users give them: JSON, parsed into a list of titles and raw ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llamarec_cli import strict_json
from llamarec_cli.errors import HistoryError, shown

# Text is a title or a raw id, a number is a raw id, and {"id": ...} or {"title": ...} is explicit.
HistoryEntry = str | int | Mapping[str, str | int]
History = Sequence[HistoryEntry]

# Limits in characters on a history as JSON and on one entry, which bound memory.
MAX_TEXT = 2_000_000
MAX_ENTRY = 10_000

_FORMS = 'Write a list of titles or item ids, such as ["Toy Story (1995)", "Fargo"], or {"history": [...]}.'
_ENTRY_FORMS = 'An entry is a title, an item id, {"id": ...} or {"title": ...}.'


def parse_history(text: str, source: str) -> list[HistoryEntry]:
    """Read a history, oldest item first: a JSON list of titles or raw ids, or an object with such a `history`.

    Args:
        text: The JSON; lone surrogates stand for bytes that are not UTF-8.
        source: Where it came from, for messages.

    Raises:
        HistoryError: It is not JSON, not a history, too long or empty.
    """
    if len(text) > MAX_TEXT:
        raise HistoryError(f"{source} is longer than {MAX_TEXT:,} characters.", "Keep the newest items.")
    if not is_utf8(text):
        raise HistoryError(f"{source} is not text in UTF-8.", "Save it as UTF-8.")
    try:
        value = strict_json.loads(text)
    except json.JSONDecodeError as error:
        raise HistoryError(
            f"{source} is not JSON (line {error.lineno}, column {error.colno}: {error.msg}).", _FORMS
        ) from error
    except ValueError as error:  # NaN, or a number or nesting beyond Python's limits
        raise HistoryError(f"{source} is not a history.", _FORMS) from error
    if isinstance(value, dict):
        if "history" not in value:
            raise HistoryError(f'{source} is an object without "history".', _FORMS)
        value = value["history"]
    if not isinstance(value, list):
        raise HistoryError(f"{source} is not a list.", _FORMS)
    if not value:
        raise HistoryError(f"The history in {source} is empty.", _FORMS)
    return [_entry(entry, f"Entry {place} of {source}") for place, entry in enumerate(value, start=1)]


def is_utf8(text: str) -> bool:
    """Return whether text decoded with `surrogateescape` was UTF-8: other bytes became lone surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _entry(entry: Any, name: str) -> HistoryEntry:
    if isinstance(entry, dict):
        if len(entry) != 1 or not entry.keys() <= {"id", "title"}:
            raise HistoryError(f"{name} is an object with other keys: {shown(entry)}.", _ENTRY_FORMS)
        ((key, value),) = entry.items()
        return {key: _scalar(value, name)}
    return _scalar(entry, name)


def _scalar(value: Any, name: str) -> str | int:
    if isinstance(value, float) and value.is_integer():  # pandas writes 7 as 7.0 beside missing values
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise HistoryError(f"{name} is neither a title nor an item id: {shown(value)}.", _ENTRY_FORMS)
    if isinstance(value, str) and len(value) > MAX_ENTRY:
        raise HistoryError(f"{name} is longer than {MAX_ENTRY:,} characters.", _ENTRY_FORMS)
    return value
