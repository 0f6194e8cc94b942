"""Tables as files: CSV, TSV, JSON lines and Parquet, gzip or zstd, read lazily, a column found by its usual names.

Only the columns that count are ever held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import assert_never

import polars as pl

from llamarec_cli import strict_json
from llamarec_cli.data.columns import Role, usual_column
from llamarec_cli.data.encodings import READING_ERRORS, UnreadableError, check_text, head_of, not_utf8
from llamarec_cli.data.separated import FAULT, ROW, Dialect, dialect_of, header_of, lines_of, scan_separated
from llamarec_cli.errors import LlamaRecError, UsageError, nearest

# Lines of JSON that are looked at for their keys.
_SAMPLED_LINES = 1000


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
_USUAL_SEPARATORS = {TableForm.CSV: ",", TableForm.TSV: "\t"}


class Table:
    """A table on disk: its columns, and a lazy view of them.

    Attributes:
        path: Where it is.
        form: How it is written.
        dialect: Separator and quotes of CSV and TSV.
        columns: Names of its columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            what = "is no file that can be read twice" if path.exists() and not path.is_dir() else "is no file"
            raise LlamaRecError(
                f"{path} {what}." if path.exists() else f"There is no file {path}.", "Check the path, or save it there."
            )
        plain = path.with_suffix("") if path.suffix in (".gz", ".zst") else path
        form = _ENDINGS.get(plain.suffix.lower())
        if form is None:
            raise UnreadableError(
                f"{path} has an ending that tells no format.",
                f"Rename it to end in {', '.join(_ENDINGS)}; of these but Parquet, .gz or .zst may follow.",
            )
        self.form = form
        self.dialect: Dialect | None = None
        with as_sentences(path):
            if form is not TableForm.PARQUET:
                head = head_of(path)
                check_text(str(path), head)
                if not head.strip():
                    raise UnreadableError(f"{path} is empty.", "Export it again.")
                if form is not TableForm.JSON_LINES:
                    self.dialect = dialect_of(path, head, _USUAL_SEPARATORS[form])
            self.columns = self._columns()
        if not self.columns:
            raise UnreadableError(f"{path} is empty.", "Export it again.")

    def find(self, role: Role, given: str | None, option: str) -> str | None:
        """Return the column of a role, or None if none was given and none has a usual name."""
        if given is not None:
            if given not in self.columns:
                raise UsageError(
                    f"{self.path} has no column {given}: {nearest(given, self.columns)}",
                    f"Its columns are {', '.join(self.columns)}. Change {option}.",
                )
            return given
        return usual_column(role, self.columns)

    def column(self, role: Role, given: str | None, option: str) -> str:
        """Return the column of a role that must be there."""
        found = self.find(role, given, option)
        if found is None and len(self.columns) == 1 and re.search(r"[,;|\t]", self.columns[0]):
            raise UnreadableError(
                f"{self.path} has one column only, called {self.columns[0]}: each line is quoted as a whole.",
                "Export it with quotes around fields, not around lines.",
            )
        if found is None:
            what = "item" if role is Role.CATALOGUE_ITEM else role
            raise UsageError(
                f"No column of {self.path} is called like one of {what}s.",
                f"Its columns are {', '.join(self.columns)}{self._separated_by()}. Name it: {option} NAME",
            )
        return found

    def scan(self, columns: list[str]) -> pl.LazyFrame:
        """Return some columns, as text unless the format knows better, and of each row its place and its fault.

        The place, `ROW`, is the line in a file of lines, else the number of the row, from 1; `FAULT` is null, or tells
        why the row is not to be used.
        """
        match self.form:
            case TableForm.CSV | TableForm.TSV:
                assert self.dialect is not None
                return scan_separated(self.path, self.dialect, self.columns, columns)
            case TableForm.JSON_LINES:
                if awkward := [name for name in columns if re.search(r"['\"\\]", name)]:
                    raise UsageError(
                        f"The key {awkward[0]} of {self.path} holds a quote or a backslash and cannot be asked for.",
                        "Rename it.",
                    )
                fields = [pl.col("text").str.json_path_match(f"$['{name}']").alias(name) for name in columns]
                lines = lines_of(self.path).filter(pl.col("text").str.strip_chars() != "")
                # Nothing of a line can be found where it is no JSON, or where it is but something else.
                fault = pl.when(pl.all_horizontal(pl.col(columns).is_null())).then(
                    pl.when(pl.col("text").str.json_path_match("$").is_null()).then(pl.lit("no JSON"))
                )
                return lines.with_columns(fields).select(ROW, *columns, fault.alias(FAULT))
            case TableForm.PARQUET:
                frame = pl.scan_parquet(self.path, row_index_name=ROW, row_index_offset=1, glob=False)
                return frame.select(ROW, *columns, pl.lit(None, pl.String).alias(FAULT))
        assert_never(self.form)

    def where(self, row: int) -> str:
        """Return what to call a row: its line, in a file that has lines."""
        return f"row {row}" if self.form is TableForm.PARQUET else f"line {row}"

    def _separated_by(self) -> str:
        return f", separated by {self.dialect.name}" if self.dialect else ""

    def _columns(self) -> list[str]:
        if self.dialect is not None:
            return header_of(self.path, self.dialect)
        if self.form is TableForm.PARQUET:
            return pl.scan_parquet(self.path, glob=False).collect_schema().names()
        # Of all the first records, since one may leave out what it does not know.
        found: dict[str, None] = {}
        for (text,) in lines_of(self.path).select("text").head(_SAMPLED_LINES).collect().iter_rows():
            try:
                record = strict_json.loads(text or "")
            except ValueError:
                continue
            if isinstance(record, dict):
                found |= dict.fromkeys(record)
        if found:
            return list(found)
        raise UnreadableError(f"{self.path} does not hold one JSON object a line.", "Export it as JSON lines.")


@contextmanager
def as_sentences(path: Path) -> Iterator[None]:
    """Turn what polars says of a file into a sentence."""
    try:
        yield
    except (pl.exceptions.PolarsError, UnicodeDecodeError, *READING_ERRORS) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        if isinstance(error, UnicodeDecodeError) or "utf-8" in reason.lower():
            raise not_utf8(str(path)) from error
        raise UnreadableError(
            f"{path} cannot be read: {reason}.", "Export it again, in the form its name says, with every quote closed."
        ) from error
