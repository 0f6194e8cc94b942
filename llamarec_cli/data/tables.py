"""Interactions and items of one's own: tables in CSV, TSV, JSON lines or Parquet, into a raw log.

Files are read lazily; only the columns that count are ever held. What cannot be used is counted and the first of it
shown with its line, so that nobody wonders where interactions went.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import assert_never

import polars as pl
import polars.selectors as cs

from llamarec_cli.data.readers import RawLog, UnreadableError
from llamarec_cli.errors import LlamaRecError, UsageError, nearest

# Usual names of columns, without case and punctuation; the first that is there counts.
_USUAL: Mapping[str, tuple[str, ...]] = {
    "user": ("userid", "user", "uid", "customerid", "customer", "visitorid", "reviewerid", "sessionid", "memberid"),
    "item": (
        "itemid", "item", "iid", "productid", "product", "parentasin", "asin", "movieid", "articleid", "sku", "bookid",
        "trackid", "gameid",
    ),
    "time": ("timestamp", "time", "datetime", "date", "unixreviewtime", "eventtime", "createdat", "ts"),
    "rating": ("rating", "score", "overall", "stars"),
    "title": ("title", "name", "producttitle", "productname", "itemtitle", "itemname"),
}  # fmt: skip
_SHOWN_BAD_ROWS = 5
# Lines of JSON that are looked at for their keys.
_SAMPLED_LINES = 1000
# Name of the column that counts rows; no table has it.
_ROW = "\x00row"
# Integers above these are milli-, micro- and nanoseconds since 1970: as seconds they lie beyond the year 5000.
_TICKS = ((10**17, 10**9), (10**14, 10**6), (10**11, 10**3))


class TableForm(StrEnum):
    """How a table is written."""

    CSV = "csv"
    TSV = "tsv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"


_ENDINGS = {
    ".csv": TableForm.CSV,
    ".tsv": TableForm.TSV,
    ".tab": TableForm.TSV,
    ".jsonl": TableForm.JSON_LINES,
    ".ndjson": TableForm.JSON_LINES,
    ".json": TableForm.JSON_LINES,
    ".parquet": TableForm.PARQUET,
    ".pq": TableForm.PARQUET,
}


@dataclass(frozen=True)
class TableOptions:
    """What the user says of the tables; None is found by usual names.

    Attributes:
        user_column: Of the interactions.
        item_column: Of the interactions and of the items.
        time_column: Of the interactions; where there is none, the file's order is the order.
        rating_column: Of the interactions.
        title_column: Of the items; several may be joined, as in `{title} by {brand}`.
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
    table = _Table(interactions)
    columns = {
        "user": table.column("user", options.user_column, "--user-column"),
        "item": table.column("item", options.item_column, "--item-column"),
        "time": table.find("time", options.time_column, "--time-column"),
        "rating": table.find("rating", options.rating_column, "--rating-column"),
    }
    if options.min_rating is not None and columns["rating"] is None:
        raise UsageError(f"{interactions} has no column of ratings for --min-rating.", "Name it: --rating-column NAME")
    report.columns = {role: column for role, column in columns.items() if column is not None}
    with _as_sentences(interactions):
        log = _clean(table, columns, options, report)
    with _as_sentences(items or interactions):
        titles = _titles(_Table(items) if items else table, columns["item"], options)
    return RawLog(log, titles, columns["time"] is not None), report


class _Table:
    """A table on disk: its columns, and a lazy view of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise LlamaRecError(f"There is no file {path}.", "Check the path.")
        plain = path.with_suffix("") if path.suffix in (".gz", ".zst") else path
        form = _ENDINGS.get(plain.suffix.lower())
        if form is None:
            raise UnreadableError(
                f"{path} has an ending that tells no format.",
                f"Rename it to end in {', '.join(_ENDINGS)}; of these but Parquet, .gz or .zst may follow.",
            )
        self.form = form
        with _as_sentences(path):
            self.columns = self._columns()
        if not self.columns:
            raise UnreadableError(f"{path} is empty.", "Export it again.")

    def find(self, role: str, given: str | None, option: str) -> str | None:
        """Return the column of a role, or None if none was given and none has a usual name."""
        if given is not None:
            if given not in self.columns:
                raise UsageError(
                    f"{self.path} has no column {given}: {nearest(given, self.columns)}",
                    f"Its columns are {', '.join(self.columns)}. Change {option}.",
                )
            return given
        plain = {re.sub("[^a-z0-9]", "", column.lower()): column for column in reversed(self.columns)}
        return next((plain[usual] for usual in _USUAL[role] if usual in plain), None)

    def column(self, role: str, given: str | None, option: str) -> str:
        """Return the column of a role that must be there."""
        found = self.find(role, given, option)
        if found is None:
            raise UsageError(
                f"No column of {self.path} is called like one of {role}s.",
                f"Its columns are {', '.join(self.columns)}. Name it: {option} NAME",
            )
        return found

    def scan(self, columns: list[str]) -> pl.LazyFrame:
        """Return some columns, as text unless the format knows better, and each row's place from 0."""
        match self.form:
            case TableForm.CSV | TableForm.TSV:
                return self._separated().select(cs.by_name(_ROW, *columns))
            case TableForm.JSON_LINES:
                if awkward := [name for name in columns if re.search(r"['\"\\]", name)]:
                    raise UsageError(
                        f"The key {awkward[0]} of {self.path} holds a quote or a backslash and cannot be asked for.",
                        "Rename it.",
                    )
                fields = [pl.col("text").str.json_path_match(f"$['{name}']").alias(name) for name in columns]
                return self._lines().select(cs.by_name(_ROW), *fields)
            case TableForm.PARQUET:
                frame = pl.scan_parquet(self.path, row_index_name=_ROW, glob=False)
                return frame.select(cs.by_name(_ROW, *columns))
        assert_never(self.form)

    def where(self, row: int) -> str:
        """Return what to call a row: its line, in a file that has lines."""
        match self.form:
            case TableForm.CSV | TableForm.TSV:
                return f"line {row + 2}"
            case TableForm.JSON_LINES:
                return f"line {row + 1}"
            case TableForm.PARQUET:
                return f"row {row + 1}"
        assert_never(self.form)

    def _columns(self) -> list[str]:
        match self.form:
            case TableForm.CSV | TableForm.TSV:
                return [name for name in self._separated().collect_schema().names() if name != _ROW]
            case TableForm.JSON_LINES:
                # Of all the first records, since one may leave out what it does not know.
                found: dict[str, None] = {}
                for (text,) in self._lines().select("text").head(_SAMPLED_LINES).collect().iter_rows():
                    try:
                        record = json.loads(text or "")
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(record, dict):
                        found |= dict.fromkeys(record)
                if found:
                    return list(found)
                raise UnreadableError(f"{self.path} does not hold one JSON object a line.", "Export it as JSON lines.")
            case TableForm.PARQUET:
                return pl.scan_parquet(self.path, glob=False).collect_schema().names()
        assert_never(self.form)

    def _separated(self) -> pl.LazyFrame:
        return pl.scan_csv(
            self.path,
            separator="\t" if self.form is TableForm.TSV else ",",
            # Tabs need no quotes, and titles hold them: 12" single.
            quote_char=None if self.form is TableForm.TSV else '"',
            infer_schema=False,
            truncate_ragged_lines=True,
            row_index_name=_ROW,
            glob=False,
        )

    def _lines(self) -> pl.LazyFrame:
        return pl.scan_csv(
            self.path,
            has_header=False,
            separator="\x01",
            quote_char=None,
            new_columns=["text"],
            infer_schema=False,
            truncate_ragged_lines=True,
            row_index_name=_ROW,
            glob=False,
        )


def _clean(
    table: _Table, columns: Mapping[str, str | None], options: TableOptions, report: ImportReport
) -> pl.DataFrame:
    """Return the usable interactions in order of time, and write into the report what became of the others."""
    wanted = {role: column for role, column in columns.items() if column is not None}
    frame = table.scan(list(dict.fromkeys(wanted.values())))
    types = frame.collect_schema()
    parsed = [pl.col(_ROW), _text(wanted["user"]).alias("user"), _text(wanted["item"]).alias("item")]
    if "time" in wanted:
        parsed.append(_microseconds(wanted["time"], types[wanted["time"]]).alias("microseconds"))
    else:
        parsed.append(pl.col(_ROW).cast(pl.Int64).alias("microseconds"))
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
        report.examples.append(f"{table.where(row[_ROW])}: {why}")
    if bad.height and options.strict:
        raise LlamaRecError(
            f"{table.path}, {report.examples[0]}.", "Mend the row, or leave --strict out to pass over such rows."
        )
    if bad.height and bad.height == rows.height:
        raise LlamaRecError(
            f"No row of {table.path} can be used; the first, {report.examples[0]}.",
            "Mend the column, or name another one; llamarec prepare --help lists the options.",
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


def _titles(table: _Table, item_column: str | None, options: TableOptions) -> pl.DataFrame:
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
        texts = [_text(column).fill_null("") for column in columns.values()]
        title = pl.format(re.sub(r"\{[^{}]+\}", "{}", template), *texts)
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


def _microseconds(column: str, kind: pl.DataType) -> pl.Expr:
    """Return a column as microseconds since 1970: from dates, from numbers of any unit, from ISO text."""
    value = pl.col(column)
    if kind.is_temporal():
        return value.cast(pl.Datetime("us")).dt.epoch("us")
    if kind.is_numeric():
        return _from_number(value)
    text = value.str.strip_chars()
    number = pl.coalesce(text.cast(pl.Int64, strict=False), text.cast(pl.Float64, strict=False))
    # An offset such as +01:00 is taken off the text and then off the time.
    offset = text.str.extract_groups(r"([+-])(\d{2}):?(\d{2})$")
    minutes = offset.struct[1].cast(pl.Int64) * 60 + offset.struct[2].cast(pl.Int64)
    ahead = pl.when(text.str.contains(r":\d{2}.*[+-]\d{2}:?\d{2}$")).then(
        pl.when(offset.struct[0] == "-").then(-minutes).otherwise(minutes)
    )
    iso = text.str.replace("T", " ").str.replace(r"Z$", "")
    iso = pl.when(ahead.is_null()).then(iso).otherwise(iso.str.replace(r"[+-]\d{2}:?\d{2}$", ""))
    moments = [
        iso.str.to_datetime(form, strict=False, time_unit="us")
        for form in ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
    ]
    return pl.coalesce(_from_number(number), pl.coalesce(moments).dt.epoch("us") - ahead.fill_null(0) * 60 * 1_000_000)


def _from_number(value: pl.Expr) -> pl.Expr:
    unit = pl.lit(1)
    for limit, ticks in reversed(_TICKS):
        unit = pl.when(value.abs() > limit).then(ticks).otherwise(unit)
    return (value * (1_000_000 / unit)).cast(pl.Int64, strict=False)


@contextmanager
def _as_sentences(path: Path) -> Iterator[None]:
    """Turn what polars says of a file into a sentence."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UnreadableError(
            f"{path} cannot be read: {reason}.", "Export it again, in the form its name says, with every quote closed."
        ) from error
