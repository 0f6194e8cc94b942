"""The cache of digests at a later time, and changes to files that it must notice."""

import os
import time
from pathlib import Path

from llamarec_cli.artefacts.file_digests import FileDigests
from llamarec_cli.store.registry import Store


def later() -> int:
    """A time at which files that tests have just written count as old."""
    return time.time_ns() + 10**10


def patient(store: Store) -> FileDigests:
    return FileDigests(store, now=later)


def change_last_byte(path: Path) -> None:
    """Change a file in place and restore its mtime."""
    before = path.stat()
    with path.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        last = opened.read(1)
        opened.seek(-1, os.SEEK_END)
        opened.write(bytes([last[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
