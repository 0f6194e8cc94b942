"""Standard streams with defined behaviour on failure.

A result that cannot be written to stdout is a `LlamaRecError`. A message that cannot be written to stderr is dropped,
since it cannot be reported anywhere. Characters that a stream's encoding lacks are replaced.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from llamarec_cli.errors import LlamaRecError


def prepare_streams() -> None:
    """Replace `sys.stdout` and `sys.stderr`, and open the standard streams that are closed."""
    # The next file to be opened would otherwise get the descriptor of a closed stream, and the output printed there.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 (for as long as the process lives)
    sys.stdout = _text_stream(sys.stdout, _Results(sys.stdout), "replace")
    sys.stderr = _text_stream(sys.stderr, _Messages(sys.stderr), "backslashreplace")


def _text_stream(original: TextIO | None, raw: _Stream, errors: str) -> TextIO:
    """Return a text stream over `raw`, with the encoding of the original one."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if original is None else original.encoding,
        errors=errors,
        line_buffering=original is None or raw.isatty() or isinstance(raw, _Messages),
    )


class _Stream(io.RawIOBase):
    """Writes to the descriptor of a standard stream; fails if the stream is closed."""

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
        if self._failed:  # reported once, not again when the buffers are flushed at exit
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
    """Standard output: a failure is raised."""

    def _fail(self, reason: str) -> None:
        super()._fail(reason)
        raise LlamaRecError(
            f"The standard output cannot be written ({reason}).", "Free some space, or redirect the output."
        )


class _Messages(_Stream):
    """Standard error: a failure is ignored, a closed pipe as well."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            self._failed = True
            return len(data)
