"""Reading of small files in one piece: histories, configurations, manifests."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from llamarec_cli.errors import LlamaRecError

# Far more than any such file needs, far less than memory holds.
MOST_BYTES = 8_000_000

_SPECIAL_FILES = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


def read_note(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file that this program wrote for itself; None if there is none that can be read."""
    try:
        content = json.loads(read_small(path))
    except (LlamaRecError, OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def read_small(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        LlamaRecError: It is a device, a pipe or a socket, which may have no end, or it is too large.
        OSError: It is missing or unreadable.
    """
    status = path.stat()
    if kind := _SPECIAL_FILES.get(stat.S_IFMT(status.st_mode)):
        raise LlamaRecError(f"{path} is {kind}, not a file.", "Save its content to a file and give that.")
    with path.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise LlamaRecError(
            f"{path} is larger than {MOST_BYTES:,} bytes, the limit.", "Check that it is the right file."
        )
    return content
