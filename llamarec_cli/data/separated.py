"""Separated text (CSV, TSV): detection of separator and quoting, and reading, also of malformed quotes."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl
import zstandard

from llamarec_cli.data.encodings import UnreadableError, not_utf8
from llamarec_cli.data.histories import MAX_TEXT

# Internal columns: the line number (the row number in Parquet) and the fault of each row.
ROW = "\x00row"
FAULT = "\x00fault"
_EXTRA = "\x00extra"

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Dialect:
    """How the fields of a file are separated.

    Attributes:
        separator: One character.
        quoted: Whether fields may be quoted.
        careful: Whether a quote is misplaced or a field spans lines. Such a file is read by the slower `csv` module,
            since polars may merge rows there.
        blank_lines: Whether there are empty lines.
        header_line: Line number of the header, from 1.
    """

    separator: str
    quoted: bool
    careful: bool
    blank_lines: bool
    header_line: int

    @property
    def name(self) -> str:
        """Name of the separator, for messages."""
        return _NAMES[self.separator]


def lines_of(path: Path) -> pl.LazyFrame:
    """Return the lines of a file as a column `text`, null where empty, numbered from 1 in `ROW`."""
    return pl.scan_csv(
        path,
        has_header=False,
        separator="\x01",
        quote_char=None,
        new_columns=["text"],
        infer_schema=False,
        truncate_ragged_lines=True,
        row_index_name=ROW,
        row_index_offset=1,
        glob=False,
    )


def dialect_of(path: Path, head: bytes, usual: str) -> Dialect:
    """Detect the separator and quoting of a file.

    Args:
        path: The file.
        head: Its first bytes.
        usual: The separator expected from the file's name; another is used only if the header lacks this one.

    Raises:
        UnreadableError: It is not UTF-8.
    """
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.end < len(head) - 4:  # more than a character cut at the end of the head
            raise not_utf8(str(path)) from error
        text = head[: error.start].decode("utf-8-sig")
    lines = text.splitlines()
    place = next((place for place, line in enumerate(lines) if line), 0)
    header = lines[place] if lines else ""
    separator = next((one for one in (usual, *_NAMES) if one in header), usual)
    quoted = '"' in header
    s = separator.replace("|", r"\|")
    proper = rf'^(?:"(?:[^"]|"")*"|[^"{s}]*)(?:{s}(?:"(?:[^"]|"")*"|[^"{s}]*))*$'
    written = pl.col("text").is_not_null()
    quotes = written & pl.col("text").str.contains('"', literal=True)
    counts = (
        lines_of(path)
        .select(
            lines=written.sum(),
            blank=(~written).sum(),
            quotes=quotes.sum(),
            # A quote in an unquoted field, or a quoted field that continues on the next line.
            improper=(quotes & ~pl.col("text").str.contains(proper)).sum(),
            doubled=(quotes & pl.col("text").str.contains(rf'(?:^|{s})"[^"{s}]*""[^"]')).sum(),
        )
        .collect()
        .row(0, named=True)
    )
    if separator == "\t" and not quoted:
        # TSV needs no quoting, and titles contain quotes (12" single). They are syntax only if all are well-formed.
        certain = counts["doubled"] or counts["quotes"] == counts["lines"] - 1 > 1
        quoted = bool(certain) and not counts["improper"]
        careful = False
    else:
        quoted, careful = True, bool(counts["improper"])
    return Dialect(separator, quoted, careful, bool(counts["blank"]), place + 1)


def scan_separated(path: Path, dialect: Dialect, columns: list[str], wanted: list[str]) -> pl.LazyFrame:
    """Return some columns as text, and of each row its line number (`ROW`) and fault (`FAULT`).

    Args:
        path: The file.
        dialect: Its dialect.
        columns: All its columns.
        wanted: The columns to return.
    """
    if dialect.careful:
        return _read_carefully(path, dialect, columns, wanted).lazy()
    frame = pl.scan_csv(
        path,
        separator=dialect.separator,
        quote_char='"' if dialect.quoted else None,
        # An extra column reveals rows with more fields than the header, caused by an unquoted comma.
        schema={**dict.fromkeys(columns, pl.String), _EXTRA: pl.String},
        missing_columns="insert",
        truncate_ragged_lines=True,
        row_index_name=ROW,
        row_index_offset=dialect.header_line + 1,
        glob=False,
    )
    if dialect.blank_lines:
        frame = frame.filter(pl.any_horizontal(pl.exclude(ROW).is_not_null()))
    fault = pl.when(pl.col(_EXTRA).is_not_null()).then(pl.lit(_too_many(len(columns))))
    return frame.select(ROW, *wanted, fault.alias(FAULT))


def header_of(path: Path, dialect: Dialect) -> list[str]:
    """Return the names of the columns."""
    frame = pl.scan_csv(
        path,
        separator=dialect.separator,
        quote_char='"' if dialect.quoted else None,
        infer_schema=False,
        truncate_ragged_lines=True,
        glob=False,
    )
    return frame.collect_schema().names()


def _read_carefully(path: Path, dialect: Dialect, columns: list[str], wanted: list[str]) -> pl.DataFrame:
    """Read a file with the `csv` module, so that a malformed quote spoils only its own row."""
    places = [columns.index(name) for name in wanted]
    found: list[list[str | None]] = [[] for _ in wanted]
    lines: list[int] = []
    faults: list[str | None] = []
    csv.field_size_limit(MAX_TEXT)
    with _text_of(path) as stream:
        reader = csv.reader(_bounded(path, stream), delimiter=dialect.separator, strict=True)
        header = True
        while True:
            line = reader.line_num + 1
            fault: str | None = None
            try:
                row = next(reader, None)
            except csv.Error:
                row, fault = [""], "a quote that is not closed or not doubled"
            if row is None:
                break
            if not row or header:
                header = header and not row
                continue
            if any(row[len(columns) :]):
                fault = _too_many(len(columns))
            lines.append(line)
            faults.append(fault)
            for values, place in zip(found, places, strict=True):
                values.append((row[place] or None) if place < len(row) else None)
    series = [pl.Series(name, values, pl.String) for name, values in zip(wanted, found, strict=True)]
    return pl.DataFrame([pl.Series(ROW, lines, pl.UInt32), *series, pl.Series(FAULT, faults, pl.String)])


def _too_many(fields: int) -> str:
    return f"more than the {fields} fields of the header"


@contextmanager
def _text_of(path: Path) -> Iterator[IO[str]]:
    with path.open("rb") as raw:
        binary: IO[bytes] = raw
        if path.suffix == ".gz":
            binary = gzip.open(raw, "rb")  # type: ignore[assignment]  # noqa: SIM115 (closed with the file)
        elif path.suffix == ".zst":
            binary = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        yield io.TextIOWrapper(binary, "utf-8-sig", newline="")


def _bounded(path: Path, stream: IO[str]) -> Iterator[str]:
    while line := stream.readline(MAX_TEXT + 1):
        if len(line) > MAX_TEXT:
            raise UnreadableError(f"{path} has a line longer than {MAX_TEXT:,} characters.", "Check its quotes.")
        yield line
