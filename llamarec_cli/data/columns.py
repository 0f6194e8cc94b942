"""Usual names of columns, in tables of interactions and in files of users."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

# Spellings of a missing value in pandas, R, SQL and spreadsheets.
MISSING = frozenset(
    {"", "NaN", "nan", "NAN", "-nan", "NaT", "NULL", "null", "Null", "None", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA",
     "\\N"}
)  # fmt: skip


class Role(StrEnum):
    """Role of a column."""

    USER = "user"
    ITEM = "item"
    TIME = "time"
    RATING = "rating"
    TITLE = "title"
    HISTORY = "history"
    # In a table of items, where a column `id` can only be the item's.
    CATALOGUE_ITEM = "item of the catalogue"


_ITEM = (
    "itemid", "item", "iid", "productid", "product", "parentasin", "asin", "movieid", "articleid", "sku", "bookid",
    "trackid", "gameid",
)  # fmt: skip

# Lower case, without punctuation, in order of preference.
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
    """Return the column with a usual name for a role, or None; the first of several equal names."""
    plain = {re.sub("[^a-z0-9]", "", column.lower()): column for column in reversed(list(columns))}
    return next((plain[usual] for usual in _USUAL[role] if usual in plain), None)
