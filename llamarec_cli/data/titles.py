"""Item titles: canonical form, cleaning of movie titles, and a normal form shared by spellings of one title.

Every function takes time linear in the length of the text, which is untrusted input.
"""

from __future__ import annotations

import re
import unicodedata

_YEAR = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)$")
# Characters of the longest year in brackets, as in "(1999-2004)".
_YEAR_WIDTH = 11
_BRACKET = re.compile(r"[()]")
_ARTICLES = "The|A|An|La|Le|Les|L'|Il|Lo|I|Gli|El|Los|Las|Der|Die|Das|Den|Det|De|Het|Un|Une|Una|Ein|Eine|O|Os|As"
_TRAILING_ARTICLE = re.compile(rf"^(?P<rest>.+), (?P<article>{_ARTICLES})$", re.IGNORECASE)
_LEADING_ARTICLE = re.compile(rf"^(?:{_ARTICLES})(?:(?<=')|\s+)(?=\S)", re.IGNORECASE)
_NOT_WORD = re.compile(r"[^\w]+")


def canonical(text: str) -> str:
    """Return the canonical form of a title or raw id: Unicode NFC, single spaces, stripped."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def clean_movie_title(raw: str) -> str:
    """Turn `Postman, The (Postino, Il) (1994)` into `The Postman (1994)`.

    Aliases in parentheses at the end are removed, a trailing article moves to the front, the year is kept. A title that
    starts with a parenthesis, such as `(500) Days of Summer`, keeps it, unlike in the official code.
    """
    name, year = split_year(raw)
    name = _without_aliases(name.strip())
    if moved := _TRAILING_ARTICLE.match(name):
        article = moved["article"]
        name = article + ("" if article.endswith("'") else " ") + moved["rest"]
    return f"{name} ({year})" if year else name


def normalise_title(title: str) -> str:
    """Return a form shared by spellings of one title: without case, alias, article, year and punctuation.

    It is empty for a title of punctuation only.
    """
    name, _ = split_year(clean_movie_title(unicodedata.normalize("NFC", title)))
    name = _LEADING_ARTICLE.sub("", name)
    return unicodedata.normalize("NFC", _NOT_WORD.sub(" ", name.casefold()).strip())


def split_year(title: str) -> tuple[str, str | None]:
    """Return a title without the year at its end, and the year; `(1999-2004)` counts as 1999."""
    stripped = title.rstrip()
    year = _YEAR.search(stripped[-_YEAR_WIDTH:])
    if year is None:
        return title, None
    return stripped[: len(stripped) - len(year[0])].rstrip(), year[1]


def _without_aliases(name: str) -> str:
    """Remove every `(alias)` from the end, unless nothing would be left; brackets may be nested one level deep.

    One pass over the brackets from the end takes linear time; a regular expression would backtrack quadratically.
    """
    end = len(name)
    depth = 0
    for bracket in reversed([match.start() for match in _BRACKET.finditer(name)]):
        if name[bracket] == ")":
            # An outer bracket must close at the end of the remaining name.
            if depth == 2 or (depth == 0 and bracket != end - 1):
                break
            depth += 1
        elif depth == 0:
            break
        else:
            depth -= 1
            if depth == 0:
                shorter = _end_of_text(name, bracket)
                if not shorter:
                    break
                end = shorter
    return name[:end]


def _end_of_text(name: str, end: int) -> int:
    """Return the end of the text before `end`, without trailing spaces."""
    while end and name[end - 1].isspace():
        end -= 1
    return end
