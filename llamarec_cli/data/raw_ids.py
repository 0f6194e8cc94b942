"""Raw ids as tables hold them: one form of each, and what is said where those of two tables do not agree."""

from __future__ import annotations

import polars as pl

from llamarec_cli.data.columns import MISSING

_FLOAT, _WHOLE = r"^[+-]?\d+\.0+$", r"^[+-]?\d+(?:\.0+)?$"
# How a reader of JSON writes a number of more digits than it holds: others have become the same.
TOO_LARGE = r"^-?\d(?:\.\d+)?e[+-]?\d+$"
_SHOWN = 3


def text_of(column: str) -> pl.Expr:
    """Return a column as text without blanks around it; null where nothing is left or it says that nothing is there."""
    stripped = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(~stripped.is_in(list(MISSING))).then(stripped)


def composed(texts: pl.Series) -> pl.Series:
    """Return texts in composed characters (NFC)."""
    return texts.str.normalize("NFC") if texts.str.contains(r"[^\x00-\x7F]").any() else texts


def are_floats(ids: pl.Series) -> bool:
    """Tell whether a column of integers was written as floats: all are whole, and some end in `.0`."""
    return bool(ids.str.contains(_FLOAT).any()) and bool(ids.str.contains(_WHOLE).all())


def as_integers(ids: pl.Series) -> pl.Series:
    """Return whole floats without their fraction."""
    return ids.str.replace(r"\.0+$", "")


def joined_ids(interactions: pl.DataFrame, titles: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write the item ids of a log and of a catalogue alike, where one of them has floats in the place of integers.

    Args:
        interactions: With a column `item`.
        titles: With a column `item`.
    """
    alike = []
    for one, other in ((interactions, titles), (titles, interactions)):
        ids = one["item"]
        # As they stand they may be meant: then the other table has such ids as well.
        if are_floats(ids) and (are_floats(other["item"]) or not other["item"].str.contains(_FLOAT).any()):
            one = one.with_columns(as_integers(ids))
        alike.append(one)
    return alike[0], alike[1]


def disagreement(interactions: pl.DataFrame, titles: pl.DataFrame) -> str | None:
    """Return a clause that shows ids of both sides that have no partner, or None if every interaction has a title."""
    log, catalogue = (frame["item"].drop_nulls().unique(maintain_order=True) for frame in (interactions, titles))
    alone = log.filter(~log.is_in(catalogue.to_list()))
    if alone.is_empty():
        return None
    untaken = catalogue.filter(~catalogue.is_in(log.to_list()))
    there = f"the ids are such as {', '.join(untaken.head(_SHOWN))}" if untaken.len() else "there are none"
    stripped = catalogue.str.strip_chars_start("0")
    zeros = alone.str.strip_chars_start("0").is_in(stripped.to_list()).sum() > alone.len() // 2
    shown = ", ".join(alone.head(_SHOWN))
    differ = "; they differ in the zeros in front" if zeros else ""
    return f"without a title are items such as {shown}; of titles that no row asks for {there}{differ}"
