"""Formats of an output file: JSON lines, CSV, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from llamarec_cli.pipeline.recommend.unfinished import records_in


def lines_of(output: Path) -> tuple[list[int], int]:
    """Return the input line of each record of an output, and the number of records with an error."""
    if output.suffix == ".jsonl":
        with output.open("rb") as stream:
            records = [(record["line"], "error" in record) for record in map(json.loads, stream)]
        return [line for line, _ in records], sum(error for _, error in records)
    if output.suffix == ".csv":
        table = pl.scan_csv(output, infer_schema=False, glob=False)
    else:
        table = pl.scan_parquet(output, glob=False)
    columns = table.select(pl.col("line").cast(pl.Int64), pl.col("error")).collect()
    return columns["line"].to_list(), columns["error"].count()


def finish(partial: Path, output: Path) -> None:
    """Convert the records to the format of the output.

    The output is moved into its place when it is complete, and the records are removed last, so that every step can be
    repeated after an interruption.
    """
    ready = partial.with_name(partial.name + output.suffix)
    if output.suffix == ".jsonl":
        with ready.open("wb") as lines:
            lines.writelines(records_in(partial))
    else:
        table = partial.with_name(partial.name + ".csv")
        _write_csv(records_in(partial), table)
        if output.suffix == ".parquet":
            pl.scan_csv(table, infer_schema=False, glob=False).sink_parquet(ready)
            table.unlink()
    ready.replace(output)
    partial.unlink()


_COLUMNS = ("line", "user", "dataset", "items", "unknown", "ambiguous", "error")


def _write_csv(records: Iterable[bytes], path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        writer = csv.DictWriter(stream, _COLUMNS)
        writer.writeheader()
        for line in records:
            writer.writerow(_flat(json.loads(line)))


def _flat(record: dict[str, Any]) -> dict[str, str | None]:
    """Return the cells of a record; lists and objects are JSON."""
    return {
        name: None
        if name not in record
        else json.dumps(record[name])
        if isinstance(record[name], list | dict)
        else str(record[name])
        for name in _COLUMNS
    }
