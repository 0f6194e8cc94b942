"""Files that a person or this program wrote and that are read as a whole: histories, configurations, manifests."""

from __future__ import annotations

import stat
from pathlib import Path

from llamarec_cli.errors import LlamaRecError

# Far above what any such file needs, far below what memory holds.
MOST_BYTES = 8_000_000

_NO_FILES = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


def read_small(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        LlamaRecError: It is a device, a pipe or a socket, whose end may never come, or it is too large.
        OSError: It is missing or cannot be read.
    """
    status = path.stat()
    if kind := _NO_FILES.get(stat.S_IFMT(status.st_mode)):
        raise LlamaRecError(f"{path} is {kind}, not a file.", "Save its content as a file, and give that.")
    with path.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise LlamaRecError(
            f"{path} is larger than {MOST_BYTES:,} bytes, the most that is read.", "Check that it is the file you mean."
        )
    return content
