"""Table files: CSV, TSV, JSON lines (each may be compressed with gzip or zstd) and Parquet, read lazily by column."""

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
from llamarec_cli.errors import LlamaRecError, UsageError, suggestion

# Lines of JSON searched for keys.
_SAMPLED_LINES = 1000


class TableForm(StrEnum):
    """Format of a table."""

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
    """A table on disk and its column names.

    Attributes:
        path: The file.
        form: Its format.
        dialect: Separator and quoting of CSV and TSV; None for other formats.
        columns: Names of its columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            wrong = f"{path} is not a regular file." if path.exists() else f"There is no file {path}."
            raise LlamaRecError(wrong, "Check the path.")
        plain = path.with_suffix("") if path.suffix in (".gz", ".zst") else path
        form = _ENDINGS.get(plain.suffix.lower())
        if form is None:
            raise UnreadableError(
                f"The format of {path} is unknown.",
                f"Rename it to end in {', '.join(_ENDINGS)}; all but Parquet may be followed by .gz or .zst.",
            )
        self.form = form
        self.dialect: Dialect | None = None
        with table_failures(path):
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
        """Return the column of a role, or None if none is given and none has a usual name.

        Args:
            role: The role.
            given: The column that the user named, if any.
            option: The argument by which the user names it, for messages.

        Raises:
            UsageError: The given column does not exist.
        """
        if given is not None:
            if given not in self.columns:
                raise UsageError(
                    f"{self.path} has no column {given}{suggestion(given, self.columns)}",
                    f"Its columns are {', '.join(self.columns)}. Change `{option}`.",
                )
            return given
        return usual_column(role, self.columns)

    def column(self, role: Role, given: str | None, option: str) -> str:
        """Return the column of a role, like `find`, and raise if there is none."""
        found = self.find(role, given, option)
        if found is None and len(self.columns) == 1 and re.search(r"[,;|\t]", self.columns[0]):
            raise UnreadableError(
                f"{self.path} has a single column, {self.columns[0]}: each line is quoted as a whole.",
                "Export it with quotes around fields, not around lines.",
            )
        if found is None:
            what = "item" if role is Role.CATALOGUE_ITEM else role
            raise UsageError(
                f"No column of {self.path} has a usual name for {what}s.",
                f"Its columns are {', '.join(self.columns)}{self._separated_by()}. Name it with `{option}`.",
            )
        return found

    def scan(self, columns: list[str]) -> pl.LazyFrame:
        """Return some columns (as text, except in Parquet), and of each row its number `ROW` and fault `FAULT`.

        The number is that of the line, or of the row in Parquet, from 1. The fault is null for a valid row.
        """
        match self.form:
            case TableForm.CSV | TableForm.TSV:
                assert self.dialect is not None
                return scan_separated(self.path, self.dialect, self.columns, columns)
            case TableForm.JSON_LINES:
                if awkward := [name for name in columns if re.search(r"['\"\\]", name)]:
                    raise UsageError(
                        f"The key {awkward[0]} of {self.path} contains a quote or a backslash and cannot be read.",
                        "Rename it.",
                    )
                fields = [pl.col("text").str.json_path_match(f"$['{name}']").alias(name) for name in columns]
                lines = lines_of(self.path).filter(pl.col("text").str.strip_chars() != "")
                # No key is found both in a line that is not JSON and in an object without these keys.
                fault = pl.when(pl.all_horizontal(pl.col(columns).is_null())).then(
                    pl.when(pl.col("text").str.json_path_match("$").is_null()).then(pl.lit("not JSON"))
                )
                return lines.with_columns(fields).select(ROW, *columns, fault.alias(FAULT))
            case TableForm.PARQUET:
                frame = pl.scan_parquet(self.path, row_index_name=ROW, row_index_offset=1, glob=False)
                return frame.select(ROW, *columns, pl.lit(None, pl.String).alias(FAULT))
        assert_never(self.form)

    def where(self, row: int) -> str:
        """Return the place of a row for messages: its line, or its row in Parquet."""
        return f"row {row}" if self.form is TableForm.PARQUET else f"line {row}"

    def _separated_by(self) -> str:
        return f", separated by {self.dialect.name}" if self.dialect else ""

    def _columns(self) -> list[str]:
        if self.dialect is not None:
            return header_of(self.path, self.dialect)
        if self.form is TableForm.PARQUET:
            return pl.scan_parquet(self.path, glob=False).collect_schema().names()
        # Keys of the first records, since a record may omit some.
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
        raise UnreadableError(f"{self.path} does not contain one JSON object per line.", "Export it as JSON lines.")


@contextmanager
def table_failures(path: Path) -> Iterator[None]:
    """Translate errors of polars and the decompressors about a file."""
    try:
        yield
    except (pl.exceptions.PolarsError, UnicodeDecodeError, *READING_ERRORS) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        if isinstance(error, UnicodeDecodeError) or "utf-8" in reason.lower():
            raise not_utf8(str(path)) from error
        raise UnreadableError(
            f"{path} cannot be read: {reason}.", "Export it again in the format of its name, with all quotes closed."
        ) from error
