"""Titles of items from a table of one's own: from one column, or several joined."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from llamarec_cli.data.columns import Role
from llamarec_cli.data.raw_ids import composed, text_of
from llamarec_cli.data.separated import FAULT, ROW
from llamarec_cli.data.table_files import Table
from llamarec_cli.errors import UsageError

if TYPE_CHECKING:
    from llamarec_cli.data.tables import TableOptions

# If more than this share of items that come several times have several titles, the column holds something else.
_MOST_WITH_SEVERAL = 0.5


@dataclass(frozen=True)
class TableTitles:
    """What was read.

    Attributes:
        titles: Columns `item` and `title`, each item once.
        untitled: Items without a title.
        faults: Place and fault of each row that was not used.
        item_column: What was taken for the items.
        title_column: What was taken for the titles: a column, or several in braces.
        item_example: One of the items.
        example: One of the titles.
    """

    titles: pl.DataFrame
    untitled: int
    faults: pl.DataFrame
    item_column: str
    title_column: str
    item_example: str
    example: str


def read_titles(table: Table, item_column: str, options: TableOptions, *, own_file: bool) -> TableTitles:
    """Read the first title of each item.

    Args:
        table: Where they stand.
        item_column: The interactions' column of items; it counts if it is here too and no other is named.
        options: Which columns the user named.
        own_file: Whether this is a file of items, not the interactions.

    Raises:
        UsageError: A column is not there, or what was taken for titles holds something else.
    """
    title, needed = _title(table, options.title_column)
    here = options.item_column if options.item_column in table.columns else None
    if own_file:
        items = table.column(Role.CATALOGUE_ITEM, options.items_id_column or here, "--items-id-column")
    else:
        items = item_column
    tidy = title.str.replace_all(r"\s+", " ").str.strip_chars()
    faulty = pl.col(FAULT).is_not_null()
    rows = table.scan(list(dict.fromkeys([items, *needed])))
    faults = rows.filter(faulty).select(ROW, FAULT).collect()
    found = (
        rows.filter(~faulty)
        .select(text_of(items).alias("item"), pl.when(tidy != "").then(tidy).alias("title"))
        .drop_nulls("item")
        .group_by("item", maintain_order=True)
        .agg(
            pl.col("title").drop_nulls().first(),
            pl.len().alias("rows"),
            pl.col("title").min().alias("one"),
            pl.col("title").max().alias("other"),
        )
        .collect()
    )
    if not own_file and options.title_column is None:
        _check_guess(table, found, needed[0])
    found = found.with_columns(composed(found["item"]), composed(found["title"])).select("item", "title")
    titles = found.drop_nulls().unique("item", keep="first", maintain_order=True)
    first = titles.row(0) if titles.height else ("", "")
    untitled = found["item"].n_unique() - titles.height
    return TableTitles(titles, untitled, faults, items, options.title_column or needed[0], *first)


def _title(table: Table, template: str | None) -> tuple[pl.Expr, list[str]]:
    """Return the title, and the columns that it is made of."""
    if template is None or "{" not in template:
        column = table.column(Role.TITLE, template, "--title-column")
        return text_of(column), [column]
    parts = re.findall(r"\{([^{}]+)\}", template)
    between = re.sub(r"\{[^{}]+\}", "", template)
    if not parts or len(set(parts)) != len(parts) or "{" in between or "}" in between:
        raise UsageError(
            f"--title-column {template!r} must name each column once, in braces.",
            'Write it as in "{title} by {brand}".',
        )
    columns = {part: table.column(Role.TITLE, part, "--title-column") for part in parts}
    texts = [text_of(column) for column in columns.values()]
    usual = table.find(Role.TITLE, None, "--title-column")
    alone = text_of(usual if usual is not None and usual in columns.values() else columns[parts[0]])
    # Null where one of them is missing: then the title itself stands alone, and without it there is none.
    title = pl.when(alone.is_not_null()).then(
        pl.coalesce(pl.format(re.sub(r"\{[^{}]+\}", "{}", template), *texts), alone)
    )
    return title, list(columns.values())


def _check_guess(table: Table, found: pl.DataFrame, column: str) -> None:
    """Refuse a column of a log that was taken for titles by its name alone, and tells something of the interactions."""
    often = found.filter(pl.col("rows") > 1)
    several = often.filter(pl.col("one") != pl.col("other"))
    if several.height > _MOST_WITH_SEVERAL * often.height:
        raise UsageError(
            f"The column {column} of {table.path} holds no titles: {several.height:,} of {often.height:,} items have "
            f"several, such as {several['one'][0]} and {several['other'][0]}.",
            f"Give titles in a file of items, --items FILE, or name their column: --title-column NAME ({column} if it "
            "is meant).",
        )
