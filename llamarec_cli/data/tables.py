"""Interactions and items of one's own: tables into a raw log.

What cannot be used is counted and the first of it shown with its line, so that nobody wonders where interactions went.
"""

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
    joined_ids,
    text_of,
)
from llamarec_cli.data.readers import RawLog
from llamarec_cli.data.separated import FAULT, ROW
from llamarec_cli.data.table_files import Table, TableForm, as_sentences
from llamarec_cli.data.table_titles import TableTitles, read_titles
from llamarec_cli.data.timestamps import MICROSECONDS, read_moments
from llamarec_cli.errors import LlamaRecError, UsageError

_SHOWN_BAD_ROWS = 5
# Rows that are looked at for an example of a column.
_SAMPLED_ROWS = 1000


@dataclass(frozen=True)
class TableOptions:
    """What the user says of the tables; None is found by usual names.

    Attributes:
        user_column: Of the interactions.
        item_column: Of the interactions and, if it is there and no other is named, of the items.
        time_column: Of the interactions; where there is none, the file's order is the order.
        rating_column: Of the interactions.
        title_column: Of the items; several may be joined, as in `{title} by {brand}`. Where another is
            missing the title itself stands alone: the column with a usual name for titles, else the first.
        items_id_column: Column of item ids of the items.
        time_format: Form of the times, such as `%d/%m/%Y %H:%M`; else it is told by all of them.
        min_rating: Interactions rated lower are dropped.
        deduplicate: Whether a user's later interactions with the same item are dropped.
        strict: Whether the first bad row is an error.
    """

    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    rating_column: str | None = None
    title_column: str | None = None
    items_id_column: str | None = None
    time_format: str | None = None
    min_rating: float | None = None
    deduplicate: bool = False
    strict: bool = False


@dataclass
class ImportReport:
    """What was read, and what was dropped and why.

    Attributes:
        rows: Rows of the interactions.
        bad_rows: Rows of them with a fault, without user or item, or with a time or rating that is none.
        bad_catalogue_rows: Rows with a fault of a file of items.
        examples: The first few bad rows: where, and what is wrong.
        low_rated: Rows below the smallest rating.
        repeated: Rows dropped because the user had the item before.
        untitled_items: Items of the catalogue without a title.
        unmatched_rows: Usable rows whose item has no title.
        unmatched: Ids of such items beside ids of the catalogue; None if there are none.
        next_items: Interactions that are kept and have one of the same user before them.
        repeated_next_items: Those of them with an item that the user had before; they are never recommended.
        columns: Which column was taken for what.
        column_examples: A value of each of them.
        notes: What was told from the files rather than by the user: separators, the form of times.
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
    columns: dict[str, str] = field(default_factory=dict)
    column_examples: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_tables(interactions: Path, items: Path | None, options: TableOptions) -> tuple[RawLog, ImportReport]:
    """Read a log of interactions and, where titles are in a file of their own, a catalogue of items.

    Args:
        interactions: Table with a row an interaction.
        items: Table with a row an item; None if the interactions hold the titles.
        options: Columns and filters.

    Raises:
        LlamaRecError: A file is missing, or a row is bad and that is not allowed.
        UnreadableError: A file is not what its name says.
        UsageError: A column is not there, or what it holds could be read in two ways.
    """
    report = ImportReport()
    table = Table(interactions)
    columns = {
        "user": table.column(Role.USER, options.user_column, "--user-column"),
        "item": table.column(Role.ITEM, options.item_column, "--item-column"),
        "time": table.find(Role.TIME, options.time_column, "--time-column"),
        "rating": table.find(Role.RATING, options.rating_column, "--rating-column"),
    }
    if options.min_rating is None:
        del columns["rating"]
    elif columns["rating"] is None:
        raise UsageError(f"{interactions} has no column of ratings for --min-rating.", "Name it: --rating-column NAME")
    if options.time_format is not None and columns["time"] is None:
        raise UsageError(f"{interactions} has no column of times for --time-format.", "Name it: --time-column NAME")
    if options.items_id_column is not None and items is None:
        raise UsageError("--items-id-column is about a file of items.", "Give --items FILE.")
    wanted = {role: column for role, column in columns.items() if column is not None}
    catalogue = Table(items) if items else table
    with as_sentences(catalogue.path):
        titles = read_titles(catalogue, wanted["item"], options, own_file=items is not None)
    with as_sentences(interactions):
        frame = table.scan(list(dict.fromkeys(wanted.values())))
        _note(report, table, frame, wanted)
        log = _clean(table, frame, wanted, options, report)
    if items is not None:
        _take_catalogue(report, catalogue, titles, options)
    else:
        report.columns["title"], report.column_examples["title"] = titles.title_column, titles.example
    log, named = joined_ids(log, titles.titles)
    report.untitled_items = titles.untitled
    report.unmatched_rows = log.height - log.join(named, on="item", how="semi").height
    report.unmatched = disagreement(log, named)
    return RawLog(log, named, "time" in wanted), report


def _note(report: ImportReport, table: Table, frame: pl.LazyFrame, wanted: Mapping[str, str]) -> None:
    """Write into the report which columns were taken, a value of each, and an unusual separator."""
    report.columns |= wanted
    sample = frame.head(_SAMPLED_ROWS).collect()
    for role, column in wanted.items():
        values = sample[column].cast(pl.String).str.strip_chars()
        report.column_examples[role] = next((one for one in values if one and one not in MISSING), "")
    _note_separator(report, table)


def _note_separator(report: ImportReport, table: Table) -> None:
    if table.dialect and table.dialect.separator != {"csv": ",", "tsv": "\t"}[table.form]:
        report.notes.append(f"The fields of {table.path} are separated by {table.dialect.name}.")


def _take_catalogue(report: ImportReport, table: Table, titles: TableTitles, options: TableOptions) -> None:
    """Write into the report what was taken from a file of items, and what was not."""
    report.columns |= {"item in the items": titles.item_column, "title": titles.title_column}
    report.column_examples |= {"item in the items": titles.item_example, "title": titles.example}
    report.bad_catalogue_rows = titles.faults.height
    shown = [f"{table.path}, {table.where(row)}: {why}" for row, why in titles.faults.head(_SHOWN_BAD_ROWS).iter_rows()]
    report.examples += shown
    if shown and options.strict:
        raise LlamaRecError(f"{shown[0]}.", "Mend the row, or leave --strict out to pass over such rows.")
    _note_separator(report, table)


def _clean(
    table: Table, frame: pl.LazyFrame, wanted: Mapping[str, str], options: TableOptions, report: ImportReport
) -> pl.DataFrame:
    """Return the usable interactions in order of time, and write into the report what became of the others."""
    parsed = [pl.col(ROW, FAULT), text_of(wanted["user"]).alias("user"), text_of(wanted["item"]).alias("item")]
    no_time = ""
    if "time" in wanted:
        moments = read_moments(frame, wanted["time"], options.time_format)
        frame = moments.frame
        parsed.append(pl.col(MICROSECONDS).alias("microseconds"))
        no_time = f"{wanted['time']} is no time" + (f" of the form {moments.form}" if moments.form else "")
        report.notes.append(f"Times are read as {moments.form}.")
    if "rating" in wanted:
        parsed.append(pl.col(wanted["rating"]).cast(pl.Float64, strict=False).fill_nan(None).alias("rating"))
    rows = frame.select(parsed).collect()
    report.rows = rows.height
    if table.form is TableForm.JSON_LINES:
        large = pl.any_horizontal(pl.col("user", "item").str.contains(TOO_LARGE).fill_null(False))
        fault = pl.when(large).then(pl.lit("an id of more digits than a number holds, to be written as text"))
        rows = rows.with_columns(pl.coalesce(FAULT, fault).alias(FAULT))
    reasons = {
        "user": f"no {wanted['user']}",
        "item": f"no {wanted['item']}",
        "microseconds": no_time,
        "rating": f"{wanted.get('rating')} is no number",
    }
    checked = [name for name in reasons if name in rows.columns]
    is_bad = pl.any_horizontal(pl.col(checked).is_null(), pl.col(FAULT).is_not_null())
    bad = rows.filter(is_bad)
    report.bad_rows = bad.height
    for row in bad.head(_SHOWN_BAD_ROWS).iter_rows(named=True):
        why = row[FAULT] or ", ".join(reasons[name] for name in checked if row[name] is None)
        report.examples.append(f"{table.where(row[ROW])}: {why}")
    if bad.height and options.strict:
        raise LlamaRecError(
            f"{table.path}, {report.examples[0]}.", "Mend the row, or leave --strict out to pass over such rows."
        )
    if bad.height and bad.height == rows.height:
        raise LlamaRecError(
            f"No row of {table.path} can be used; the first, {report.examples[0]}.",
            _what_to_mend(bad.row(0, named=True)),
        )
    rows = _with_canonical_ids(rows.filter(~is_bad))
    if options.min_rating is not None:
        before = rows.height
        rows = rows.filter(pl.col("rating") >= options.min_rating)
        report.low_rated = before - rows.height
    if "time" not in wanted:
        rows = rows.with_columns(pl.int_range(pl.len()).cast(pl.Int64).alias("microseconds"))
    # Sorted by the full time and stably, so that what happened within one second keeps its order.
    rows = rows.sort("microseconds", maintain_order=True)
    if options.deduplicate:
        before = rows.height
        # Of one item only, whichever way a log writes its id.
        rows = rows.unique(["user", "item"], keep="first", maintain_order=True)
        report.repeated = before - rows.height
    time = pl.col("microseconds") // 1_000_000 if "time" in wanted else pl.col("microseconds")
    return rows.select("user", "item", time.alias("time"))


def _what_to_mend(bad: Mapping[str, object]) -> str:
    """Return what to do about a bad row, if all are: by what is wrong with the first."""
    if bad[FAULT] is not None:
        return "Export it again, with quotes around the fields that hold separators or quotes, and these doubled."
    if bad["user"] is not None and bad["item"] is not None and bad.get("microseconds", 0) is None:
        return "Say what their form is, as in --time-format '%d/%m/%y %H:%M', or name another column: --time-column."
    return "Mend the column, or name another one, as llamarec prepare --help tells."


def _with_canonical_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with ids in composed characters, and users that pandas made floats of as integers."""
    users, items = composed(rows["user"]), composed(rows["item"])
    return rows.with_columns(as_integers(users) if are_floats(users) else users, items)
