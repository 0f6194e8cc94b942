"""Standard streams that tell what becomes of them.

Results that cannot be written are an error, said in a sentence; messages that cannot be written are lost, since there
is nobody left to tell. A character that the encoding of a stream lacks is replaced.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from llamarec_cli.errors import LlamaRecError


def prepare_streams() -> None:
    """Put streams that tell in the place of Python's; of those that were closed, too."""
    # Else the next file that is opened would get the number of a closed stream, and what is printed there.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 (for as long as the process lives)
    sys.stdout = _told(sys.stdout, _Results(sys.stdout), "replace")
    sys.stderr = _told(sys.stderr, _Messages(sys.stderr), "backslashreplace")


def _told(before: TextIO | None, raw: _Stream, errors: str) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if before is None else before.encoding,
        errors=errors,
        line_buffering=before is None or raw.isatty() or isinstance(raw, _Messages),
    )


class _Stream(io.RawIOBase):
    """Writes to a stream of Python's, or to none, if it is closed."""

    def __init__(self, stream: TextIO | None) -> None:
        self._number = None if stream is None else stream.fileno()
        self._failed = False

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._number is not None and os.isatty(self._number)

    def fileno(self) -> int:
        if self._number is None:
            raise io.UnsupportedOperation("fileno")
        return self._number

    def write(self, data: Any) -> int:
        if self._failed:  # what is said once is not said again when the buffers are emptied at the end
            return len(data)
        if self._number is None:
            self._fail("it is closed")
            return len(data)
        try:
            return os.write(self._number, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._fail(error.strerror or "it fails")
            return len(data)

    def _fail(self, reason: str) -> None:
        self._failed = True


class _Results(_Stream):
    def _fail(self, reason: str) -> None:
        super()._fail(reason)
        raise LlamaRecError(
            f"The standard output cannot be written ({reason}).", "Make room, or send the output elsewhere."
        )


class _Messages(_Stream):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            self._failed = True
            return len(data)
