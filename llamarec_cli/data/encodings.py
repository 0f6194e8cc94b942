"""Detection of a text file's encoding from its first bytes."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import zstandard

from llamarec_cli.errors import LlamaRecError

HEAD_BYTES = 1 << 16

_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


class UnreadableError(LlamaRecError):
    """A source exists, but does not have the expected format."""


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, decompressed if it ends in .gz or .zst.

    Raises:
        OSError, EOFError, zlib.error, zstandard.ZstdError: It is unreadable.
    """
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as stream:
            return stream.read(HEAD_BYTES)
    with path.open("rb") as raw:
        if path.suffix == ".zst":
            return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True).read(HEAD_BYTES)
        return raw.read(HEAD_BYTES)


def check_text(name: str, head: bytes) -> None:
    """Raise unless the first bytes of a file may be text in UTF-8.

    Args:
        name: Name of the file, for messages.
        head: Its first bytes.

    Raises:
        UnreadableError: They are in another encoding, or are not text.
    """
    encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    if encoding is None and b"\x00" in head:
        # In UTF-16, one of the two bytes of each ASCII character is zero, always the same one.
        odd = (head[::2].count(0) == 0) != (head[1::2].count(0) == 0)
        encoding = "UTF-16LE" if odd and head[1::2].count(0) else "UTF-16BE" if odd else None
        if encoding is None:
            raise UnreadableError(f"{name} is not text: it contains zero bytes.", "Export it again as text in UTF-8.")
    if encoding is not None:
        raise UnreadableError(f"{name} is in {encoding}, not in UTF-8.", convert_from(encoding, name))
    if b"\r" in head and b"\n" not in head:
        raise UnreadableError(
            f"The lines of {name} end in carriage returns only.", "Save it with Unix or Windows line endings."
        )


def convert_from(encoding: str, name: str) -> str:
    """Return the command that converts a file to UTF-8."""
    return f"iconv -f {encoding} -t UTF-8 {name} > utf-8-{Path(name).name}"


def not_utf8(name: str) -> UnreadableError:
    """Return the error for text in an unknown encoding."""
    return UnreadableError(
        f"{name} is not text in UTF-8.",
        f"Save it as UTF-8; if it is in Latin-1, as written by Excel: {convert_from('ISO-8859-1', name)}",
    )


# Exceptions that gzip, zlib and zstandard raise for malformed files.
READING_ERRORS = (OSError, EOFError, zlib.error, zstandard.ZstdError)
