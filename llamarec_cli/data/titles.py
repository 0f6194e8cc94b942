"""Item titles: cleaning those of movies, and finding an item by the title a person typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

_YEAR = re.compile(r"\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*$")
_TRAILING_ALIAS = re.compile(r"(?<=\S)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*$")
_ARTICLES = "The|A|An|La|Le|Les|L'|Il|Lo|I|Gli|El|Los|Las|Der|Die|Das|Den|Det|De|Het|Un|Une|Una|Ein|Eine|O|Os|As"
_TRAILING_ARTICLE = re.compile(rf"^(?P<rest>.+), (?P<article>{_ARTICLES})$", re.IGNORECASE)
_LEADING_ARTICLE = re.compile(rf"^(?:{_ARTICLES})(?:(?<=')|\s+)(?=\S)", re.IGNORECASE)
_NOT_WORD = re.compile(r"[^\w]+")


def clean_movie_title(raw: str) -> str:
    """Turn `Postman, The (Postino, Il) (1994)` into `The Postman (1994)`.

    Parenthesised aliases at the end go, a trailing article moves to the front, the year stays. A title that starts
    with its parenthesis, such as `(500) Days of Summer`, keeps it; the official code would lose it.
    """
    year = _YEAR.search(raw)
    name = raw[: year.start()] if year else raw
    name = name.strip()
    while (shorter := _TRAILING_ALIAS.sub("", name)) != name:
        name = shorter
    if moved := _TRAILING_ARTICLE.match(name):
        article = moved["article"]
        name = article + ("" if article.endswith("'") else " ") + moved["rest"]
    return f"{name} ({year[1]})" if year else name


def normalise_title(title: str) -> str:
    """Return what spellings of one title have in common: no case, alias, article, year or punctuation.

    Empty for a title of punctuation alone.
    """
    name = _YEAR.sub("", clean_movie_title(title))
    name = _LEADING_ARTICLE.sub("", name)
    return _NOT_WORD.sub(" ", name.casefold()).strip()


@dataclass(frozen=True)
class Match:
    """What was found for one entry of a history.

    Attributes:
        given: The title or raw id as typed.
        item: Item id, or None where nothing fits.
        alternatives: Titles of other items that fit as well, or, where nothing fits, the nearest titles.
    """

    given: str
    item: int | None
    alternatives: tuple[str, ...] = ()


@dataclass
class TitleIndex:
    """Finds items by raw id, by exact title, then by title ignoring case, articles, year and punctuation.

    Attributes:
        titles: Title of each item; index 0 is padding.
        raw_ids: Raw id of each item; index 0 is padding.
        popularity: Interactions of each item; among equal titles the most popular wins, then the lowest id.
    """

    titles: Sequence[str]
    raw_ids: Sequence[str]
    popularity: Sequence[int]
    _exact: dict[str, list[int]] = field(init=False, default_factory=dict)
    _loose: dict[str, list[int]] = field(init=False, default_factory=dict)
    _by_raw_id: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for item in sorted(range(1, len(self.titles)), key=lambda item: (-self.popularity[item], item)):
            self._exact.setdefault(self.titles[item], []).append(item)
            if loose := normalise_title(self.titles[item]):
                self._loose.setdefault(loose, []).append(item)
            self._by_raw_id[self.raw_ids[item]] = item

    def find(self, given: str) -> Match:
        """Find one title or raw id. A title wins over a raw id, since people type titles ("1984")."""
        for items in self._candidates(given):
            if items:
                others = tuple(self.titles[item] for item in items[1:] if self.titles[item] != self.titles[items[0]])
                return Match(given, items[0], others)
        wanted = normalise_title(given)
        # "Star Wars" stands in some catalogues as "Star Wars: Episode IV"; the most popular comes first.
        longer = [key for key in self._loose if key.startswith(f"{wanted} ")] if wanted else []
        near = list(dict.fromkeys([*longer[:2], *get_close_matches(wanted, list(self._loose), n=3, cutoff=0.6)]))
        return Match(given, None, tuple(self.titles[self._loose[key][0]] for key in near[:3]))

    def _candidates(self, given: str) -> Iterator[list[int]]:
        yield self._exact.get(given, [])
        yield [self._by_raw_id[given]] if given in self._by_raw_id else []
        # A year that was typed must be the year of the film: "Sabrina (1954)" is not the one of 1995.
        loose = self._loose.get(normalise_title(given), [])
        year = _YEAR.search(given)
        if year:
            loose = [item for item in loose if (own := _YEAR.search(self.titles[item])) is None or own[1] == year[1]]
        yield loose
