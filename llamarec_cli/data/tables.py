"""Interactions and items of one's own: tables into a raw log.

What cannot be used is counted and the first of it shown with its line, so that nobody wonders where interactions went.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from llamarec_cli.data.moments import microseconds
from llamarec_cli.data.readers import RawLog
from llamarec_cli.data.table_files import ROW, Table, as_sentences
from llamarec_cli.errors import LlamaRecError, UsageError

_SHOWN_BAD_ROWS = 5


@dataclass(frozen=True)
class TableOptions:
    """What the user says of the tables; None is found by usual names.

    Attributes:
        user_column: Of the interactions.
        item_column: Of the interactions and of the items.
        time_column: Of the interactions; where there is none, the file's order is the order.
        rating_column: Of the interactions.
        title_column: Of the items; several may be joined, as in `{title} by {brand}`. Where another is
            missing the title itself stands alone: the column with a usual name for titles, else the first.
        min_rating: Interactions rated lower are dropped.
        deduplicate: Whether a user's later interactions with the same item are dropped.
        strict: Whether the first bad row is an error.
    """

    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    rating_column: str | None = None
    title_column: str | None = None
    min_rating: float | None = None
    deduplicate: bool = False
    strict: bool = False


@dataclass
class ImportReport:
    """What was read, and what was dropped and why.

    Attributes:
        rows: Rows of the interactions.
        bad_rows: Rows without user or item, or with a time or rating that is none.
        examples: The first few of them: where, and what is wrong.
        low_rated: Rows below the smallest rating.
        repeated: Rows dropped because the user had the item before.
        columns: Which column was taken for what.
    """

    rows: int = 0
    bad_rows: int = 0
    examples: list[str] = field(default_factory=list)
    low_rated: int = 0
    repeated: int = 0
    columns: dict[str, str] = field(default_factory=dict)


def read_tables(interactions: Path, items: Path | None, options: TableOptions) -> tuple[RawLog, ImportReport]:
    """Read a log of interactions and, where titles are in a file of their own, a catalogue of items.

    Args:
        interactions: Table with a row an interaction.
        items: Table with a row an item; None if the interactions hold the titles.
        options: Columns and filters.

    Raises:
        LlamaRecError: A file is missing, or a row is bad and that is not allowed.
        UnreadableError: A file is not what its name says.
        UsageError: A column is not there.
    """
    report = ImportReport()
    table = Table(interactions)
    columns = {
        "user": table.column("user", options.user_column, "--user-column"),
        "item": table.column("item", options.item_column, "--item-column"),
        "time": table.find("time", options.time_column, "--time-column"),
        "rating": table.find("rating", options.rating_column, "--rating-column"),
    }
    if options.min_rating is not None and columns["rating"] is None:
        raise UsageError(f"{interactions} has no column of ratings for --min-rating.", "Name it: --rating-column NAME")
    report.columns = {role: column for role, column in columns.items() if column is not None}
    with as_sentences(interactions):
        log = _clean(table, columns, options, report)
    with as_sentences(items or interactions):
        titles = _titles(Table(items) if items else table, columns["item"], options)
    return RawLog(log, titles, columns["time"] is not None), report


def _clean(
    table: Table, columns: Mapping[str, str | None], options: TableOptions, report: ImportReport
) -> pl.DataFrame:
    """Return the usable interactions in order of time, and write into the report what became of the others."""
    wanted = {role: column for role, column in columns.items() if column is not None}
    frame = table.scan(list(dict.fromkeys(wanted.values())))
    types = frame.collect_schema()
    parsed = [pl.col(ROW), _text(wanted["user"]).alias("user"), _text(wanted["item"]).alias("item")]
    if "time" in wanted:
        parsed.append(microseconds(wanted["time"], types[wanted["time"]]).alias("microseconds"))
    else:
        parsed.append(pl.col(ROW).cast(pl.Int64).alias("microseconds"))
    if options.min_rating is not None:
        parsed.append(pl.col(wanted["rating"]).cast(pl.Float64, strict=False).alias("rating"))
    rows = frame.select(parsed).collect()
    report.rows = rows.height
    reasons = {
        "user": f"no {wanted['user']}",
        "item": f"no {wanted['item']}",
        "microseconds": f"{wanted.get('time')} is no time",
        "rating": f"{wanted.get('rating')} is no number",
    }
    checked = [name for name in reasons if name in rows.columns]
    bad = rows.filter(pl.any_horizontal(pl.col(checked).is_null()))
    report.bad_rows = bad.height
    for row in bad.head(_SHOWN_BAD_ROWS).iter_rows(named=True):
        why = ", ".join(reasons[name] for name in checked if row[name] is None)
        report.examples.append(f"{table.where(row[ROW])}: {why}")
    if bad.height and options.strict:
        raise LlamaRecError(
            f"{table.path}, {report.examples[0]}.", "Mend the row, or leave --strict out to pass over such rows."
        )
    if bad.height and bad.height == rows.height:
        raise LlamaRecError(
            f"No row of {table.path} can be used; the first, {report.examples[0]}.",
            "Mend the column, or name another one, as llamarec prepare --help tells; times are numbers, or text such "
            "as 2024-12-31 10:00.",
        )
    rows = rows.drop_nulls(checked)
    if options.min_rating is not None:
        before = rows.height
        rows = rows.filter(pl.col("rating") >= options.min_rating)
        report.low_rated = before - rows.height
    # Sorted by the full time and stably, so that what happened within one second keeps its order.
    rows = rows.sort("microseconds", maintain_order=True)
    if options.deduplicate:
        before = rows.height
        rows = rows.unique(["user", "item"], keep="first", maintain_order=True)
        report.repeated = before - rows.height
    time = pl.col("microseconds") // 1_000_000 if "time" in wanted else pl.col("microseconds")
    return rows.select("user", "item", time.alias("time"))


def _titles(table: Table, item_column: str | None, options: TableOptions) -> pl.DataFrame:
    """Return the first title of each item; `item_column` is the interactions', and counts if it is here too."""
    template = options.title_column or ""
    if "{" in template:
        parts = re.findall(r"\{([^{}]+)\}", template)
        if len(set(parts)) != len(parts) or re.sub(r"\{[^{}]+\}", "", template).strip("{}") != re.sub(
            r"\{[^{}]+\}", "", template
        ):
            raise UsageError(
                f"--title-column {template!r} must name each column once, in braces.",
                'Write it as in "{title} by {brand}".',
            )
        columns = {part: table.column("title", part, "--title-column") for part in parts}
        texts = [_text(column) for column in columns.values()]
        usual = table.find("title", None, "--title-column")
        alone = _text(usual if usual is not None and usual in columns.values() else columns[parts[0]])
        # Null where one of them is missing: then the title itself stands alone, and without it there is none.
        title: pl.Expr = pl.when(alone.is_not_null()).then(
            pl.coalesce(pl.format(re.sub(r"\{[^{}]+\}", "{}", template), *texts), alone)
        )
        needed = list(columns.values())
    else:
        column = table.column("title", options.title_column, "--title-column")
        title, needed = _text(column), [column]
    items = table.column("item", item_column if item_column in table.columns else None, "--item-column")
    frame = table.scan(list(dict.fromkeys([items, *needed])))
    tidy = title.str.replace_all(r"\s+", " ").str.strip_chars()
    return (
        frame.select(_text(items).alias("item"), tidy.alias("title"))
        .drop_nulls()
        .filter(pl.col("title") != "")
        .unique("item", keep="first", maintain_order=True)
        .collect()
    )


def _text(column: str) -> pl.Expr:
    """Return a column as text without blanks around it; null where nothing is left."""
    stripped = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(stripped != "").then(stripped)
