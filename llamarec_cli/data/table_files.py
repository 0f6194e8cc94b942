"""Tables as files: CSV, TSV, JSON lines and Parquet, gzip or zstd, read lazily, a column found by its usual names.

Only the columns that count are ever held.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import assert_never

import polars as pl
import polars.selectors as cs

from llamarec_cli.data.readers import UnreadableError
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
# Lines of JSON that are looked at for their keys.
_SAMPLED_LINES = 1000
# Name of the column that counts rows; no table has it.
ROW = "\x00row"


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


class Table:
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
        with as_sentences(path):
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
                return self._separated().select(cs.by_name(ROW, *columns))
            case TableForm.JSON_LINES:
                if awkward := [name for name in columns if re.search(r"['\"\\]", name)]:
                    raise UsageError(
                        f"The key {awkward[0]} of {self.path} holds a quote or a backslash and cannot be asked for.",
                        "Rename it.",
                    )
                fields = [pl.col("text").str.json_path_match(f"$['{name}']").alias(name) for name in columns]
                return self._lines().select(cs.by_name(ROW), *fields)
            case TableForm.PARQUET:
                frame = pl.scan_parquet(self.path, row_index_name=ROW, glob=False)
                return frame.select(cs.by_name(ROW, *columns))
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
                return [name for name in self._separated().collect_schema().names() if name != ROW]
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
            row_index_name=ROW,
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
            row_index_name=ROW,
            glob=False,
        )


@contextmanager
def as_sentences(path: Path) -> Iterator[None]:
    """Turn what polars says of a file into a sentence."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UnreadableError(
            f"{path} cannot be read: {reason}.", "Export it again, in the form its name says, with every quote closed."
        ) from error
