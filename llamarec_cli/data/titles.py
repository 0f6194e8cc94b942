"""Item titles: their one form, cleaning those of movies, and what spellings of one title have in common.

Every function takes time that is linear in the text: titles are typed by people and exported by programs.
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
    """Return the one form of a title or raw id: composed characters (NFC), single blanks, none around it."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def clean_movie_title(raw: str) -> str:
    """Turn `Postman, The (Postino, Il) (1994)` into `The Postman (1994)`.

    Parenthesised aliases at the end go, a trailing article moves to the front, the year stays. A title that starts
    with its parenthesis, such as `(500) Days of Summer`, keeps it; the official code would lose it.
    """
    name, year = split_year(raw)
    name = _without_aliases(name.strip())
    if moved := _TRAILING_ARTICLE.match(name):
        article = moved["article"]
        name = article + ("" if article.endswith("'") else " ") + moved["rest"]
    return f"{name} ({year})" if year else name


def normalise_title(title: str) -> str:
    """Return what spellings of one title have in common: no case, alias, article, year or punctuation.

    Empty for a title of punctuation alone.
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
    """Take `(alias)` off the end, as often as there is one behind something else; brackets nest at most once.

    Brackets are counted from the end, each once: a pattern would go back over all of them for every one.
    """
    end = len(name)
    depth = 0
    for bracket in reversed([match.start() for match in _BRACKET.finditer(name)]):
        if name[bracket] == ")":
            # The outermost one must stand at the very end of what is left.
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
    """Return where the blanks before a place begin."""
    while end and name[end - 1].isspace():
        end -= 1
    return end
