"""Titles of items from the user's own table: from one column, or joined from several."""

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

# Largest share of repeated items with several titles; above it, the column does not contain titles.
_MOST_WITH_SEVERAL = 0.5


@dataclass(frozen=True)
class TableTitles:
    """Titles read from a table.

    Attributes:
        titles: Columns `item` and `title`, each item once.
        untitled: Number of items without a title.
        faults: `ROW` and `FAULT` of each malformed row.
        item_column: Column of item ids.
        title_column: Column of titles, or a template of several.
        item_example: An item id.
        example: A title.
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
        table: The table of items, or of interactions.
        item_column: The column of item ids in the interactions.
        options: Columns named by the user.
        own_file: Whether the table is a file of items rather than the interactions.

    Raises:
        UsageError: A column is missing, or the column with a usual name for titles has other content.
    """
    title, needed = _title(table, options.title_column)
    here = options.item_column if options.item_column in table.columns else None
    if own_file:
        items = table.column(Role.CATALOGUE_ITEM, options.items_id_column or here, "items_id_column")
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
    """Return the expression of the title, and the columns that it uses."""
    if template is None or "{" not in template:
        column = table.column(Role.TITLE, template, "title_column")
        return text_of(column), [column]
    parts = re.findall(r"\{([^{}]+)\}", template)
    between = re.sub(r"\{[^{}]+\}", "", template)
    if not parts or len(set(parts)) != len(parts) or "{" in between or "}" in between:
        raise UsageError(
            f"`title_column` must name each column once, in braces, not {template!r}.",
            'For example "{title} by {brand}".',
        )
    columns = {part: table.column(Role.TITLE, part, "title_column") for part in parts}
    texts = [text_of(column) for column in columns.values()]
    usual = table.find(Role.TITLE, None, "title_column")
    alone = text_of(usual if usual is not None and usual in columns.values() else columns[parts[0]])
    # `format` is null if any value is missing; then the title stands alone. Without a title the result is null.
    title = pl.when(alone.is_not_null()).then(
        pl.coalesce(pl.format(re.sub(r"\{[^{}]+\}", "{}", template), *texts), alone)
    )
    return title, list(columns.values())


def _check_guess(table: Table, found: pl.DataFrame, column: str) -> None:
    """Raise if a column of the interactions, chosen by its name, varies too much within items to be a title."""
    often = found.filter(pl.col("rows") > 1)
    several = often.filter(pl.col("one") != pl.col("other"))
    if several.height > _MOST_WITH_SEVERAL * often.height:
        raise UsageError(
            f"The column {column} of {table.path} does not contain titles: {several.height:,} of {often.height:,} "
            f"items have several values, such as {several['one'][0]} and {several['other'][0]}.",
            "Give titles in a file of items with `items`, or name their column with `title_column` "
            f"({column} to use it nevertheless).",
        )
