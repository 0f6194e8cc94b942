"""Files of users and their histories, read one record at a time: JSON lines, CSV, Parquet."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from llamarec_cli.errors import LlamaRecError

STANDARD = Path("-")
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Entry:
    """One record of the input.

    Attributes:
        line: Where it stands, from 1.
        user: What the input calls the user; None if it does not.
        history: The history as JSON.
    """

    line: int
    user: Any
    history: str


def check_source(source: Path) -> None:
    """Raise a `LlamaRecError` if there is no such file; `-`, stdin, is always there."""
    if source != STANDARD and not source.is_file():
        raise LlamaRecError(f"There is no file {source}.", "Check the path, or give - to read stdin.")


def read_entries(source: Path) -> Iterator[Entry]:
    """Yield the records of a file one at a time, in order.

    Args:
        source: `.jsonl`, `.csv` or `.parquet`; `-` reads JSON lines from stdin.

    Raises:
        LlamaRecError: It is missing or cannot be read.
    """
    check_source(source)
    if source.suffix == ".parquet":
        yield from _parquet_entries(source)
        return
    with ExitStack() as stack:
        binary = sys.stdin.buffer if source == STANDARD else stack.enter_context(source.open("rb"))
        # What is not UTF-8 spoils its own record and no other.
        stream = stack.enter_context(io.TextIOWrapper(binary, encoding="utf-8-sig", errors="replace", newline=""))
        yield from _csv_entries(source, stream) if source.suffix == ".csv" else _json_entries(stream)


def _json_entries(stream: IO[str]) -> Iterator[Entry]:
    for line, text in enumerate(stream, start=1):
        if text.strip():
            yield Entry(line, _user_of(text), text)


def _user_of(text: str) -> Any:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record.get("user") if isinstance(record, dict) else None


def _csv_entries(source: Path, stream: IO[str]) -> Iterator[Entry]:
    # A long history in one field is no mistake.
    csv.field_size_limit(1 << 30)
    reader = csv.DictReader(stream)
    try:
        _need_history(source, list(reader.fieldnames or []))
        for row in reader:
            yield Entry(reader.line_num, row.get("user"), row["history"] or "")
    except csv.Error as error:
        raise LlamaRecError(f"{source} cannot be read as CSV: {error}.", "Export it again.") from error


def _parquet_entries(source: Path) -> Iterator[Entry]:
    try:
        frame = pl.scan_parquet(source, glob=False)
        names = frame.collect_schema().names()
        _need_history(source, names)
        columns = [name for name in ("user", "history") if name in names]
        begin = 0
        while (rows := frame.select(columns).slice(begin, _ROWS_AT_ONCE).collect()).height:
            for place, row in enumerate(rows.iter_rows(named=True), start=begin + 1):
                history = row["history"]
                yield Entry(
                    place, row.get("user"), history if isinstance(history, str) else json.dumps(history, default=str)
                )
            begin += rows.height
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise LlamaRecError(f"{source} cannot be read as Parquet: {reason}.", "Export it again.") from error


def _need_history(source: Path, columns: list[str]) -> None:
    if "history" not in columns:
        raise LlamaRecError(
            f"{source} has no column called history.",
            "Write each history as a JSON list of titles or item ids"
            + (f"; found: {', '.join(columns)}." if columns else "."),
        )


def count_entries(source: Path) -> int | None:
    """Return the number of records for the progress bar, where it costs little."""
    if source == STANDARD or not source.is_file():
        return None
    if source.suffix == ".parquet":
        return None
    with source.open("rb") as stream:
        lines = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
    return None if source.suffix == ".csv" else lines
