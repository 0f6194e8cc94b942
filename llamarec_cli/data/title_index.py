"""Lookup of items by title or raw id, as users type them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from numbers import Real

from llamarec_cli.data.histories import HistoryEntry
from llamarec_cli.data.titles import canonical, normalise_title, split_year

# Longest title for the fuzzy search, whose time grows with the product of the lengths.
_LONGEST_COMPARED = 200
_INTEGRAL = re.compile(r"([+-]?\d+)\.0+")


@dataclass(frozen=True)
class Match:
    """Result of looking up one entry of a history.

    Attributes:
        given: The title or raw id as typed.
        item: Item id, or None if nothing matches.
        others: Other items that match as well.
        by_id: Whether the entry was read as a raw id.
    """

    given: str
    item: int | None
    others: tuple[int, ...] = ()
    by_id: bool = False


@dataclass
class TitleIndex:
    """Index of items by exact title, by raw id, and by title without case, articles, year and punctuation.

    Titles and raw ids are compared in their canonical form: composed characters, single blanks.

    Attributes:
        titles: Title of each item; index 0 is padding.
        raw_ids: Raw id of each item; index 0 is padding.
        popularity: Interactions of each item; of equal titles the most popular is preferred, then the lowest id.
    """

    titles: Sequence[str]
    raw_ids: Sequence[str]
    popularity: Sequence[int]
    _exact: dict[str, list[int]] = field(init=False, default_factory=dict)
    _loose: dict[str, list[int]] = field(init=False, default_factory=dict)
    _by_raw_id: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for item in sorted(range(1, len(self.titles)), key=lambda item: (-self.popularity[item], item)):
            self._exact.setdefault(canonical(self.titles[item]), []).append(item)
            if loose := normalise_title(self.titles[item]):
                self._loose.setdefault(loose, []).append(item)
            self._by_raw_id.setdefault(canonical(self.raw_ids[item]), item)

    def find(self, entry: HistoryEntry) -> Match:
        """Find the item of an entry.

        Text may be a title or a raw id; an exact title is preferred, since users type titles ("1984"), and an item with
        that raw id is among `others`. A number is a raw id. `{"id": ...}` and `{"title": ...}` are explicit.
        """
        if isinstance(entry, Mapping):
            ((kind, value),) = entry.items()
            given = _text(value)
            return self._by_id(given) if kind == "id" else self._by_title(given)
        given = _text(entry)
        if isinstance(entry, Real):
            return self._by_id(given)
        by_title, by_id = self._by_title(given), self._by_id(given)
        exact = bool(self._exact.get(canonical(given)))
        taken, rest = (by_title, by_id) if exact or by_id.item is None else (by_id, by_title)
        others = dict.fromkeys([*taken.others, *([] if rest.item is None else [rest.item, *rest.others])])
        return Match(given, taken.item, tuple(item for item in others if item != taken.item), taken.by_id)

    def nearest(self, given: str) -> tuple[str, ...]:
        """Return up to three titles similar to an unknown one."""
        wanted = normalise_title(given)
        if not wanted or len(wanted) > _LONGEST_COMPARED:
            return ()
        # "Star Wars" may be listed as "Star Wars: Episode IV"; the most popular comes first.
        longer = [key for key in self._loose if key.startswith(f"{wanted} ")]
        near = list(dict.fromkeys([*longer[:2], *get_close_matches(wanted, list(self._loose), n=3, cutoff=0.6)]))
        return tuple(self.titles[self._loose[key][0]] for key in near[:3])

    def is_shared(self, item: int) -> bool:
        """Return whether another item has the same title."""
        return len(self._exact[canonical(self.titles[item])]) > 1

    def _by_id(self, given: str) -> Match:
        raw_id = canonical(given)
        item = self._by_raw_id.get(raw_id)
        if item is None and (integral := _INTEGRAL.fullmatch(raw_id)):  # pandas writes 3 as 3.0 beside missing values
            item = self._by_raw_id.get(integral[1])
        return Match(given, item, by_id=True)

    def _by_title(self, given: str) -> Match:
        items = self._exact.get(canonical(given)) or self._loose.get(normalise_title(given), [])
        # A typed year must match: "Sabrina (1954)" is not the film of 1995.
        if year := split_year(given)[1]:
            items = [item for item in items if split_year(self.titles[item])[1] in (None, year)]
        return Match(given, items[0], tuple(items[1:])) if items else Match(given, None)


def _text(value: object) -> str:
    """Return an entry as text; a whole float as an integer."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
