"""`OUTPUT.partial`: the lists of a file of users as far as they were made, and how they are made.

Its first line tells what they are made with and of which input, and stands in the file before any record does: there
is no moment at which the one is there without the other, and no further file to be left over. It is its own lock, too.
A run that was killed left whole lines, and at most one torn one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from filelock import lock_descriptor

from llamarec_cli.data.user_files import Entry, read_entries
from llamarec_cli.errors import LlamaRecError

_HEADER = "begun_with"


@dataclass(frozen=True)
class Summary:
    """What became of a file.

    Attributes:
        users: Records written, of this run and, with `resume`, of the earlier ones.
        errors: How many of them hold an error instead of a list.
    """

    users: int
    errors: int


def holds_records(partial: Path) -> bool:
    """Tell whether an earlier run left anything that would be lost."""
    if not partial.is_file():
        return False
    with partial.open("rb") as stream:
        return any(line.endswith(b"\n") and _header_in(line) is None for _, line in zip(range(2), stream, strict=False))


@contextmanager
def held(partial: Path, output: Path) -> Iterator[IO[bytes]]:
    """Yield the open file, made if it is not there; while it is held no other process writes the output.

    Raises:
        LlamaRecError: Another process holds it.
    """
    with partial.open("a+b") as stream:
        # Whoever held it before may have finished, and removed it, since it was opened.
        if not lock_descriptor(stream.fileno(), blocking=False) or not _is_still(stream, partial):
            raise LlamaRecError(
                f"Another process is writing {output}.", "Wait for it, or give another --output."
            ) from None
        try:
            yield stream
        except BaseException:
            if not holds_records(partial):
                partial.unlink()
            raise


def begin(stream: IO[bytes], recipe: dict[str, Any]) -> Summary:
    """Empty the file, and write what the lists are made with."""
    stream.truncate(0)
    stream.write(json.dumps({_HEADER: recipe}, sort_keys=True).encode() + b"\n")
    stream.flush()
    return Summary(0, 0)


def go_on(stream: IO[bytes], partial: Path, recipe: dict[str, Any], source: Path) -> Summary:
    """Cut a torn line off the end, and count what is whole; begin where there is nothing.

    A file without a first line of its own is of an earlier version, and is checked by its records alone.

    Raises:
        LlamaRecError: What is there was made of another input, or in another way: one file, one way.
    """
    if not holds_records(partial):
        return begin(stream, recipe)
    users, errors, whole = 0, 0, 0
    entries = read_entries(source)
    stream.seek(0)
    for line in stream:
        if not line.endswith(b"\n"):
            break
        begun = _header_in(line) if not whole else None
        whole += len(line)
        if begun is not None:
            _check(partial, begun, recipe)
            continue
        errors += _is_error(partial, line, next(entries, None))
        users += 1
    stream.truncate(whole)
    return Summary(users, errors)


def records_in(partial: Path) -> Iterator[bytes]:
    """Yield the lines that are records, as they are."""
    with partial.open("rb") as stream:
        for number, line in enumerate(stream):
            if number or _header_in(line) is None:
                yield line


def _header_in(line: bytes) -> dict[str, Any] | None:
    """Return what a first line says the lists were begun with; None if it is no such line."""
    if not line.startswith(b'{"' + _HEADER.encode()):
        return None
    try:
        begun = json.loads(line)[_HEADER]
    except ValueError:
        return None
    return begun if isinstance(begun, dict) else None


def _check(partial: Path, begun: dict[str, Any], recipe: dict[str, Any]) -> None:
    # As JSON would hold it.
    asked = json.loads(json.dumps(recipe))
    if begun == asked:
        return
    other = "another input" if begun.get("input") != asked.get("input") else "another ranker or other options"
    raise LlamaRecError(f"{partial} was begun with {other}.", "Give the same as then, or --replace to start anew.")


def _is_error(partial: Path, line: bytes, entry: Entry | None) -> bool:
    """Tell whether a written record holds an error, after checking that it is this entry's."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if entry is None or not isinstance(record, dict) or record.get("line") != entry.line:
        raise LlamaRecError(
            f"{partial} does not fit the input: it was written from another one, or changed.",
            "Give the input it was written from, or --replace to start anew.",
        )
    return "error" in record


def _is_still(stream: IO[bytes], partial: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), partial.stat())
    except FileNotFoundError:
        return False
