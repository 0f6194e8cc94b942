"""Raw ids in tables: normalisation, and comparison of the ids of two tables."""

from __future__ import annotations

import polars as pl

from llamarec_cli.data.columns import MISSING

_FLOAT, _WHOLE = r"^[+-]?\d+\.0+$", r"^[+-]?\d+(?:\.0+)?$"
# How polars writes a JSON integer that exceeds 64 bits; different ids may have become equal.
TOO_LARGE = r"^-?\d(?:\.\d+)?e[+-]?\d+$"
_SHOWN = 3


def text_of(column: str) -> pl.Expr:
    """Return a column as stripped text, null where it is empty or spells a missing value."""
    stripped = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(~stripped.is_in(list(MISSING))).then(stripped)


def composed(texts: pl.Series) -> pl.Series:
    """Return texts in Unicode normal form NFC."""
    return texts.str.normalize("NFC") if texts.str.contains(r"[^\x00-\x7F]").any() else texts


def are_floats(ids: pl.Series) -> bool:
    """Return whether ids are integers written as floats: all are whole, and some end in `.0`."""
    return bool(ids.str.contains(_FLOAT).any()) and bool(ids.str.contains(_WHOLE).all())


def as_integers(ids: pl.Series) -> pl.Series:
    """Return ids without a fraction of zeros."""
    return ids.str.replace(r"\.0+$", "")


def matching_ids(interactions: pl.DataFrame, titles: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Normalise the item ids of interactions and titles where integers were written as floats.

    Args:
        interactions: Table with a column `item`.
        titles: Table with a column `item`.

    Returns:
        Both tables.
    """
    normalised = []
    for one, other in ((interactions, titles), (titles, interactions)):
        ids = one["item"]
        # Ids such as 1.0 are genuine if the other table has some too, among ids that are not whole.
        if are_floats(ids) and (are_floats(other["item"]) or not other["item"].str.contains(_FLOAT).any()):
            one = one.with_columns(as_integers(ids))
        normalised.append(one)
    return normalised[0], normalised[1]


def disagreement(interactions: pl.DataFrame, titles: pl.DataFrame) -> str | None:
    """Return examples of item ids without a counterpart in the other table; None if every interaction has a title."""
    log, catalogue = (frame["item"].drop_nulls().unique(maintain_order=True) for frame in (interactions, titles))
    alone = log.filter(~log.is_in(catalogue.to_list()))
    if alone.is_empty():
        return None
    unused_ids = catalogue.filter(~catalogue.is_in(log.to_list()))
    stripped = catalogue.str.strip_chars_start("0")
    zeros = alone.str.strip_chars_start("0").is_in(stripped.to_list()).sum() > alone.len() // 2
    shown = ", ".join(alone.head(_SHOWN))
    unused = f"unused titles have ids such as {', '.join(unused_ids.head(_SHOWN))}" if unused_ids.len() else ""
    differ = "they differ in leading zeros" if zeros else ""
    return "; ".join(filter(None, [f"items without a title have ids such as {shown}", unused, differ]))
