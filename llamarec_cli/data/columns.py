"""The usual names of columns, the same for a log that is prepared and for a file of users."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

# How programs write that there is no value: pandas, R, SQL, spreadsheets.
MISSING = frozenset(
    {"", "NaN", "nan", "NAN", "-nan", "NaT", "NULL", "null", "Null", "None", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA",
     "\\N"}
)  # fmt: skip


class Role(StrEnum):
    """What a column is for."""

    USER = "user"
    ITEM = "item"
    TIME = "time"
    RATING = "rating"
    TITLE = "title"
    HISTORY = "history"
    # Of a catalogue, in which a row is an item and `id` can be nothing else.
    CATALOGUE_ITEM = "item of the catalogue"


_ITEM = (
    "itemid", "item", "iid", "productid", "product", "parentasin", "asin", "movieid", "articleid", "sku", "bookid",
    "trackid", "gameid",
)  # fmt: skip

# Without case and punctuation; the first that is there counts.
_USUAL: Mapping[Role, tuple[str, ...]] = {
    Role.USER: ("userid", "user", "uid", "customerid", "customer", "visitorid", "reviewerid", "sessionid", "memberid"),
    Role.ITEM: _ITEM,
    Role.CATALOGUE_ITEM: (*_ITEM, "id"),
    Role.TIME: ("timestamp", "time", "datetime", "date", "unixreviewtime", "eventtime", "createdat", "ts"),
    Role.RATING: ("rating", "score", "overall", "stars"),
    Role.TITLE: ("title", "name", "producttitle", "productname", "itemtitle", "itemname"),
    Role.HISTORY: ("history",),
}


def usual_column(role: Role, columns: Iterable[str]) -> str | None:
    """Return the column whose name is usual for a role, or None; of several alike the first."""
    plain = {re.sub("[^a-z0-9]", "", column.lower()): column for column in reversed(list(columns))}
    return next((plain[usual] for usual in _USUAL[role] if usual in plain), None)
