"""Reading of the user's own tables of interactions and items into a raw log, with a report on what was dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from llamarec_cli.data.columns import MISSING, Role
from llamarec_cli.data.raw_ids import (
    TOO_LARGE,
    are_floats,
    as_integers,
    composed,
    disagreement,
    matching_ids,
    text_of,
)
from llamarec_cli.data.readers import RawLog
from llamarec_cli.data.separated import FAULT, ROW
from llamarec_cli.data.table_files import Table, TableForm, table_failures
from llamarec_cli.data.table_titles import TableTitles, read_titles
from llamarec_cli.data.timestamps import MICROSECONDS, read_timestamps
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.names import Repeats

_SHOWN_BAD_ROWS = 5
# Rows searched for an example value of a column.
_SAMPLED_ROWS = 1000
_HINT_IF_STRICT = "Correct the row, or leave `strict` out to skip invalid rows."


@dataclass(frozen=True)
class TableOptions:
    """Options for reading tables. A column that is None is found by its usual names.

    Attributes:
        user_column: Column of users in the interactions.
        item_column: Column of item ids in the interactions, and in the items unless `items_id_column` names another.
        time_column: Column of times in the interactions; without one, the order of the file is used.
        rating_column: Column of ratings in the interactions.
        title_column: Column of titles, or a template that joins several, such as `{title} by {brand}`. If a value of
            another column is missing, the title stands alone: the column with a usual name for titles, else the first.
        items_id_column: Column of item ids in the items.
        time_format: Format of the times, such as `%d/%m/%Y %H:%M`; detected from all values if None.
        min_rating: Interactions with a lower rating are dropped.
        repeats: What repeated interactions of a user with an item mean, and so which of them are dropped.
        strict: Whether an invalid row is an error.
    """

    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    rating_column: str | None = None
    title_column: str | None = None
    items_id_column: str | None = None
    time_format: str | None = None
    min_rating: float | None = None
    repeats: Repeats | None = None
    strict: bool = False


@dataclass
class ImportReport:
    """Counts of rows read and dropped, and the columns used.

    Attributes:
        rows: Rows of the interactions.
        bad_rows: Invalid rows: malformed, without user or item, or with an invalid time or rating.
        bad_catalogue_rows: Malformed rows of the table of items.
        examples: Place and fault of the first few invalid rows.
        low_rated: Rows with a rating below the minimum.
        repeated: Rows dropped as repeated interactions of a user with an item.
        untitled_items: Items without a title in the table of titles.
        unmatched_rows: Valid rows whose item has no title.
        unmatched: Examples of such item ids and of unused ones; None if there are none.
        next_items: Interactions kept, except the first of each user.
        repeated_next_items: Those with an item already in the user's history, which are never recommended unless
            repeats are kept.
        repeats: The choice of `TableOptions.repeats`.
        columns: Column used for each role.
        column_examples: A value of each of these columns.
        notes: What was detected in the files: separators, format of times.
    """

    rows: int = 0
    bad_rows: int = 0
    bad_catalogue_rows: int = 0
    examples: list[str] = field(default_factory=list)
    low_rated: int = 0
    repeated: int = 0
    untitled_items: int = 0
    unmatched_rows: int = 0
    unmatched: str | None = None
    next_items: int = 0
    repeated_next_items: int = 0
    repeats: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    column_examples: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_tables(interactions: Path, items: Path | None, options: TableOptions) -> tuple[RawLog, ImportReport]:
    """Read a table of interactions and, if titles are in a separate file, a table of items.

    Args:
        interactions: Table with one interaction per row.
        items: Table with one item per row; None if the interactions have a column of titles.
        options: Columns and filters.

    Raises:
        LlamaRecError: A file is missing, or a row is invalid and `options.strict` is set.
        UnreadableError: A file does not have the format of its name.
        UsageError: A column is missing, or its values are ambiguous.
    """
    report = ImportReport(repeats=options.repeats)
    table = Table(interactions)
    columns = {
        "user": table.column(Role.USER, options.user_column, "user_column"),
        "item": table.column(Role.ITEM, options.item_column, "item_column"),
        "time": table.find(Role.TIME, options.time_column, "time_column"),
        "rating": table.find(Role.RATING, options.rating_column, "rating_column"),
    }
    if options.min_rating is None:
        del columns["rating"]
    elif columns["rating"] is None:
        raise UsageError(f"{interactions} has no column of ratings for `min_rating`.", "Name it with `rating_column`.")
    if options.time_format is not None and columns["time"] is None:
        raise UsageError(f"{interactions} has no column of times for `time_format`.", "Name it with `time_column`.")
    if options.items_id_column is not None and items is None:
        raise UsageError("`items_id_column` is the column of a file of items.", "Give that file with `items`.")
    wanted = {role: column for role, column in columns.items() if column is not None}
    catalogue = Table(items) if items else table
    with table_failures(catalogue.path):
        titles = read_titles(catalogue, wanted["item"], options, own_file=items is not None)
    with table_failures(interactions):
        frame = table.scan(list(dict.fromkeys(wanted.values())))
        _report_columns(report, table, frame, wanted)
        log = _clean(table, frame, wanted, options, report)
    if items is not None:
        _report_items(report, catalogue, titles, options)
    else:
        report.columns["title"], report.column_examples["title"] = titles.title_column, titles.example
    log, named = matching_ids(log, titles.titles)
    report.untitled_items = titles.untitled
    report.unmatched_rows = log.height - log.join(named, on="item", how="semi").height
    report.unmatched = disagreement(log, named)
    return RawLog(log, named, "time" in wanted), report


def _report_columns(report: ImportReport, table: Table, frame: pl.LazyFrame, wanted: Mapping[str, str]) -> None:
    """Report the columns used, a value of each, and an unusual separator."""
    report.columns |= wanted
    sample = frame.head(_SAMPLED_ROWS).collect()
    for role, column in wanted.items():
        values = sample[column].cast(pl.String).str.strip_chars()
        report.column_examples[role] = next((one for one in values if one and one not in MISSING), "")
    _report_separator(report, table)


def _report_separator(report: ImportReport, table: Table) -> None:
    if table.dialect and table.dialect.separator != {"csv": ",", "tsv": "\t"}[table.form]:
        report.notes.append(f"The fields of {table.path} are separated by {table.dialect.name}.")


def _report_items(report: ImportReport, table: Table, titles: TableTitles, options: TableOptions) -> None:
    """Report the columns used of a table of items, and its invalid rows."""
    report.columns |= {"item in the items": titles.item_column, "title": titles.title_column}
    report.column_examples |= {"item in the items": titles.item_example, "title": titles.example}
    report.bad_catalogue_rows = titles.faults.height
    shown = [f"{table.path}, {table.where(row)}: {why}" for row, why in titles.faults.head(_SHOWN_BAD_ROWS).iter_rows()]
    report.examples += shown
    if shown and options.strict:
        raise LlamaRecError(f"{shown[0]}.", _HINT_IF_STRICT)
    _report_separator(report, table)


def _clean(
    table: Table, frame: pl.LazyFrame, wanted: Mapping[str, str], options: TableOptions, report: ImportReport
) -> pl.DataFrame:
    """Return the valid interactions in order of time, and count the dropped ones in the report."""
    rows, reasons = _parse(table, frame, wanted, options, report)
    rows = _with_canonical_ids(_drop_invalid(table, rows, reasons, options, report))
    if options.min_rating is not None:
        before = rows.height
        rows = rows.filter(pl.col("rating") >= options.min_rating)
        report.low_rated = before - rows.height
    if "time" not in wanted:
        rows = rows.with_columns(pl.int_range(pl.len()).cast(pl.Int64).alias("microseconds"))
    # A stable sort by microseconds keeps the order within one second.
    rows = rows.sort("microseconds", maintain_order=True)
    before = rows.height
    # After ids are canonical, so that two spellings of one id are the same item.
    if options.repeats is Repeats.DROP:
        rows = rows.unique(["user", "item"], keep="first", maintain_order=True)
    elif options.repeats is Repeats.CONSECUTIVE:
        rows = rows.filter(pl.col("item").ne_missing(pl.col("item").shift().over("user")))
    report.repeated = before - rows.height
    time = pl.col("microseconds") // 1_000_000 if "time" in wanted else pl.col("microseconds")
    return rows.select("user", "item", time.alias("time"))


def _parse(
    table: Table, frame: pl.LazyFrame, wanted: Mapping[str, str], options: TableOptions, report: ImportReport
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Parse the columns of the interactions.

    Returns:
        Columns `ROW`, `FAULT`, `user`, `item` and, where they exist, `microseconds` and `rating`, null where missing or
        invalid; and for each of the last four why a row without a value is invalid.
    """
    parsed = [pl.col(ROW, FAULT), text_of(wanted["user"]).alias("user"), text_of(wanted["item"]).alias("item")]
    reasons = {"user": f"no {wanted['user']}", "item": f"no {wanted['item']}"}
    if "time" in wanted:
        timestamps = read_timestamps(frame, wanted["time"], options.time_format)
        frame = timestamps.frame
        parsed.append(pl.col(MICROSECONDS).alias("microseconds"))
        form = f" of the form {timestamps.form}" if timestamps.form else ""
        reasons["microseconds"] = f"{wanted['time']} is not a time{form}"
        report.notes.append(f"Times are read as {timestamps.form}.")
    if "rating" in wanted:
        parsed.append(pl.col(wanted["rating"]).cast(pl.Float64, strict=False).fill_nan(None).alias("rating"))
        reasons["rating"] = f"{wanted['rating']} is not a number"
    rows = frame.select(parsed).collect()
    report.rows = rows.height
    if table.form is TableForm.JSON_LINES:
        large = pl.any_horizontal(pl.col("user", "item").str.contains(TOO_LARGE).fill_null(False))
        fault = pl.when(large).then(pl.lit("an id with more digits than a number can hold; write it as text"))
        rows = rows.with_columns(pl.coalesce(FAULT, fault).alias(FAULT))
    return rows, reasons


def _drop_invalid(
    table: Table, rows: pl.DataFrame, reasons: Mapping[str, str], options: TableOptions, report: ImportReport
) -> pl.DataFrame:
    """Return the valid rows, and add the number and examples of the others to the report.

    Raises:
        LlamaRecError: A row is invalid and `options.strict` is set, or no row is valid.
    """
    is_bad = pl.any_horizontal(pl.col(list(reasons)).is_null(), pl.col(FAULT).is_not_null())
    bad = rows.filter(is_bad)
    report.bad_rows = bad.height
    for row in bad.head(_SHOWN_BAD_ROWS).iter_rows(named=True):
        why = row[FAULT] or ", ".join(reason for name, reason in reasons.items() if row[name] is None)
        report.examples.append(f"{table.where(row[ROW])}: {why}")
    if bad.height and options.strict:
        raise LlamaRecError(f"{table.path}, {report.examples[0]}.", _HINT_IF_STRICT)
    if bad.height and bad.height == rows.height:
        raise LlamaRecError(
            f"No row of {table.path} is valid; the first is {report.examples[0]}.",
            _hint_if_all_invalid(bad.row(0, named=True)),
        )
    return rows.filter(~is_bad)


def _hint_if_all_invalid(first: Mapping[str, object]) -> str:
    """Return the hint for a table without a valid row, by the fault of the first."""
    if first[FAULT] is not None:
        return "Export it again, with quotes around fields that contain separators or quotes, and these quotes doubled."
    if first["user"] is not None and first["item"] is not None and first.get("microseconds", 0) is None:
        return "Give their format with `time_format`, such as '%d/%m/%y %H:%M', or another column with `time_column`."
    return "Correct the column, or name another one with `user_column` or `item_column`."


def _with_canonical_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with ids in NFC, and users that pandas turned into floats as integers."""
    users, items = composed(rows["user"]), composed(rows["item"])
    return rows.with_columns(as_integers(users) if are_floats(users) else users, items)
