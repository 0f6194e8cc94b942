"""`OUTPUT.partial`: the records written so far for a file of users.

Its first line, the header, is the recipe of the lists and is written before any record, so that there are never records
without a recipe. The file is also its own lock. A killed run leaves complete lines and at most one torn line.
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
from llamarec_cli.pipeline.recommend.finished import recipe_difference

_HEADER = "begun_with"
_BEGINNING = f'{{"{_HEADER}": '.encode()
_LONGEST_HEADER = 1_000_000


@dataclass(frozen=True)
class Summary:
    """Counts of written records.

    Attributes:
        users: Records written by this run and, with `resume`, by earlier ones.
        errors: Records with an error instead of a list.
    """

    users: int
    errors: int


def holds_records(partial: Path) -> bool:
    """Return whether a file holds something that would be lost: whole records, or what this program did not write."""
    if not partial.is_file():
        return False
    with partial.open("rb") as stream:
        first = stream.readline(_LONGEST_HEADER)
        if _header_in(first) is not None:
            return stream.readline().endswith(b"\n")
        return not _is_torn_header(first) or bool(stream.read(1))


@contextmanager
def held(partial: Path, output: Path) -> Iterator[IO[bytes]]:
    """Yield the file, opened or created, and locked so that no other process writes the same output.

    If the block raises, a file without records is removed.

    Raises:
        LlamaRecError: Another process has locked it.
    """
    with partial.open("a+b") as stream:
        # The process that held the lock may have finished and removed the file after it was opened here.
        if not lock_descriptor(stream.fileno(), blocking=False) or not _is_same_file(stream, partial):
            raise LlamaRecError(f"Another process is writing {output}.", "Wait for it, or give another `output`.")
        try:
            yield stream
        except BaseException:
            if not holds_records(partial):
                partial.unlink()
            raise


def begin(stream: IO[bytes], recipe: dict[str, Any]) -> Summary:
    """Truncate the file, and write the header."""
    stream.truncate(0)
    stream.write(json.dumps({_HEADER: recipe}, sort_keys=True).encode() + b"\n")
    stream.flush()
    return Summary(0, 0)


def continue_partial(stream: IO[bytes], partial: Path, recipe: dict[str, Any], source: Path) -> Summary:
    """Remove a torn last line, and count the complete records; begin anew if there is none.

    A file without a header was written by an earlier version; only its line numbers are checked.

    Raises:
        LlamaRecError: The records were made from another input or with another recipe.
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
            if difference := recipe_difference(begun, recipe):
                raise LlamaRecError(
                    f"{partial} was begun with {difference}.", "Give the same as then, or `replace` to start over."
                )
            continue
        errors += _has_error(partial, line, next(entries, None))
        users += 1
    stream.truncate(whole)
    return Summary(users, errors)


def records_in(partial: Path) -> Iterator[bytes]:
    """Yield the lines of records, unchanged."""
    with partial.open("rb") as stream:
        for number, line in enumerate(stream):
            if number or _header_in(line) is None:
                yield line


def _header_in(line: bytes) -> dict[str, Any] | None:
    """Return the recipe in a header; None if the line is not a header."""
    if not line.startswith(b'{"' + _HEADER.encode()):
        return None
    try:
        begun = json.loads(line)[_HEADER]
    except (ValueError, RecursionError):
        return None
    return begun if isinstance(begun, dict) else None


def _is_torn_header(line: bytes) -> bool:
    """Return whether a line is the beginning of a header, whose writing was cut off."""
    if not (line.startswith(_BEGINNING) or _BEGINNING.startswith(line)):
        return False
    try:
        # What holds a whole object, or is no text, was not cut off.
        json.JSONDecoder().raw_decode(line.decode())
    except UnicodeDecodeError:
        return False
    except (ValueError, RecursionError):
        return not line.endswith((b"\n", b"\r"))
    return False


def _has_error(partial: Path, line: bytes, entry: Entry | None) -> bool:
    """Return whether a written record has an error, after checking that it belongs to this entry."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if entry is None or not isinstance(record, dict) or record.get("line") != entry.line:
        raise LlamaRecError(
            f"{partial} does not fit the input: it was written from another one, or changed.",
            "Give the input it was written from, or `replace` to start over.",
        )
    return "error" in record


def _is_same_file(stream: IO[bytes], partial: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), partial.stat())
    except FileNotFoundError:
        return False
