"""Whether a file is text that can be read, told by its first bytes."""

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
    """A source is there, but not what it should be."""


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, decompressed if its name says that it is compressed.

    Raises:
        OSError, EOFError, zlib.error, zstandard.ZstdError: It cannot be read.
    """
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as stream:
            return stream.read(HEAD_BYTES)
    with path.open("rb") as raw:
        if path.suffix == ".zst":
            return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True).read(HEAD_BYTES)
        return raw.read(HEAD_BYTES)


def check_text(name: str, head: bytes) -> None:
    """Raise an `UnreadableError` if the first bytes are those of another encoding than UTF-8, or of no text.

    Args:
        name: What to call the file.
        head: Its first bytes.
    """
    encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    if encoding is None and b"\x00" in head:
        # Half of the bytes of English text in UTF-16 are zero, always the same half.
        odd = (head[::2].count(0) == 0) != (head[1::2].count(0) == 0)
        encoding = "UTF-16LE" if odd and head[1::2].count(0) else "UTF-16BE" if odd else None
        if encoding is None:
            raise UnreadableError(f"{name} is no text: it holds zero bytes.", "Export it again, as text in UTF-8.")
    if encoding is not None:
        raise UnreadableError(f"{name} is in {encoding}, not in UTF-8.", convert_from(encoding, name))
    if b"\r" in head and b"\n" not in head:
        raise UnreadableError(
            f"The lines of {name} end in carriage returns alone.", "Save it with the line ends of Unix or Windows."
        )


def convert_from(encoding: str, name: str) -> str:
    """Return the command that makes UTF-8 of a file."""
    return f"iconv -f {encoding} -t UTF-8 {name} > utf-8-{Path(name).name}"


def not_utf8(name: str) -> UnreadableError:
    """Return what is said of text in another encoding that does not tell its name."""
    return UnreadableError(
        f"{name} is not text in UTF-8.",
        f"Save it as UTF-8; if it is in Latin-1, as Excel writes it: {convert_from('ISO-8859-1', name)}",
    )


# What gzip, zlib and zstandard say of files that are not what their names say.
READING_ERRORS = (OSError, EOFError, zlib.error, zstandard.ZstdError)
