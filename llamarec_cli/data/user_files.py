"""Files of users and their histories (JSON lines, CSV, Parquet), read one record at a time."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from llamarec_cli import strict_json
from llamarec_cli.data.columns import MISSING, Role, usual_column
from llamarec_cli.data.encodings import HEAD_BYTES, check_text
from llamarec_cli.data.histories import MAX_TEXT, is_utf8
from llamarec_cli.errors import LlamaRecError

STANDARD = Path("-")
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Entry:
    """One record of the input.

    Attributes:
        line: Line number (row number in Parquet), from 1.
        user: The user's id; None if the record has none.
        history: The history as JSON; empty if the record is invalid.
        fault: Why the record is invalid, as the end of a sentence that begins with its line; None if it is valid.
    """

    line: int
    user: Any
    history: str
    fault: str | None = None


def check_source(source: Path) -> None:
    """Raise a `LlamaRecError` unless the source is a regular file or `-`, the standard input."""
    if source == STANDARD or source.is_file():
        return
    if source.exists():
        raise LlamaRecError(f"{source} is not a regular file.", "Save it as a file, or give - to read stdin.")
    raise LlamaRecError(f"There is no file {source}.", "Check the path, or give - to read stdin.")


def read_entries(source: Path) -> Iterator[Entry]:
    """Yield the records of a file one at a time, in order.

    Args:
        source: A file ending in `.jsonl`, `.csv` or `.parquet`; `-` reads JSON lines from the standard input.

    Raises:
        LlamaRecError: It is missing or unreadable.
    """
    check_source(source)
    if source.suffix == ".parquet":
        yield from _parquet_entries(source)
        return
    with ExitStack() as stack:
        if source == STANDARD:
            binary: IO[bytes] = sys.stdin.buffer
        else:
            binary = stack.enter_context(source.open("rb"))
            check_text(str(source), binary.read(HEAD_BYTES))
            binary.seek(0)
        # Bytes that are not UTF-8 become lone surrogates, which invalidate only their own record.
        stream = stack.enter_context(io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline=""))
        yield from _csv_entries(source, stream) if source.suffix == ".csv" else _json_entries(stream)


def _lines(stream: IO[str]) -> Iterator[str]:
    """Yield lines, each truncated to one character more than the limit."""
    while line := stream.readline(MAX_TEXT + 1):
        yield line
        while len(line) > MAX_TEXT and not line.endswith(("\n", "\r")):
            line = stream.readline(MAX_TEXT + 1)


def _fault_of(text: str) -> str | None:
    """Return why a record's text is invalid, or None."""
    if len(text) > MAX_TEXT:
        return f"is longer than {MAX_TEXT:,} characters"
    return None if is_utf8(text) else "is not text in UTF-8"


def _json_entries(stream: IO[str]) -> Iterator[Entry]:
    for line, text in enumerate(_lines(stream), start=1):
        if fault := _fault_of(text):
            yield Entry(line, None, "", fault)
        elif text.strip():
            yield Entry(line, _user_of(text), text)


def _user_of(text: str) -> Any:
    """Return the user's id in a JSON record, under any usual key; None if there is none."""
    try:
        record = strict_json.loads(text)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    key = usual_column(Role.USER, record)
    return None if key is None else record[key]


def _csv_entries(source: Path, stream: IO[str]) -> Iterator[Entry]:
    csv.field_size_limit(MAX_TEXT)
    reader = csv.reader(_lines(stream), strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise LlamaRecError(f"The header of {source} cannot be read as CSV: {error}.", "Export it again.") from error
    history, user = _columns(source, header)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Entry(line, None, "", f"cannot be read as CSV: {error}")
            continue
        if row is None:
            return
        if len(row) != len(header):
            if row:
                yield Entry(line, None, "", f"has {len(row)} fields, but the header has {len(header)}")
            continue
        named = dict(zip(header, row, strict=True))
        if fault := _fault_of("".join(row)):
            yield Entry(line, None, "", fault)
        else:
            yield Entry(line, None if user is None else _user_id(named[user]), named[history])


def _user_id(value: Any) -> Any:
    """Return a user's id from a table cell: None if missing, an integer if pandas turned it into a float."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None if math.isnan(value) else value
    return None if isinstance(value, str) and value in MISSING else value


def _parquet_entries(source: Path) -> Iterator[Entry]:
    try:
        frame = pl.scan_parquet(source, glob=False)
        history, user = _columns(source, frame.collect_schema().names())
        begin = 0
        while (rows := frame.select(filter(None, (history, user))).slice(begin, _ROWS_AT_ONCE).collect()).height:
            for place, row in enumerate(rows.iter_rows(named=True), start=begin + 1):
                value = row[history]
                yield Entry(
                    place,
                    None if user is None else _user_id(row[user]),
                    value if isinstance(value, str) else strict_json.dumps(value),
                )
            begin += rows.height
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise LlamaRecError(f"{source} cannot be read as Parquet: {reason}.", "Export it again.") from error


def _columns(source: Path, columns: list[str]) -> tuple[str, str | None]:
    """Return the column of histories, and that of users or None."""
    history = usual_column(Role.HISTORY, columns)
    if history is None:
        raise LlamaRecError(
            f"{source} has no column called history.",
            "Write each history as a JSON list of titles or item ids"
            + (f"; its columns are {', '.join(columns)}." if columns else "."),
        )
    return history, usual_column(Role.USER, columns)


def count_entries(source: Path) -> int | None:
    """Return the number of records for the progress bar, or None if counting is expensive."""
    if source == STANDARD or not source.is_file():
        return None
    if source.suffix == ".parquet":
        return None
    with source.open("rb") as stream:
        lines = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
    return None if source.suffix == ".csv" else lines
