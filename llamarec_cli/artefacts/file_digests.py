"""Cache of digests of large files, so that an unchanged file is hashed once.

A file counts as unchanged if its path, size, inode, mtime and ctime are the same. A file modified so recently that its
times might not show another change is not cached.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from llamarec_cli.errors import HomeError
from llamarec_cli.small_files import read_note
from llamarec_cli.store.manifest import sha256_of
from llamarec_cli.store.registry import Store

# File systems round times, by up to two seconds.
_SETTLED_NS = 3 * 10**9


class FileDigests:
    """Digests by path, cached in the store's home.

    Args:
        store: The store.
        now: Clock, in nanoseconds since 1970.

    Attributes:
        read: Files that this object has hashed.
    """

    def __init__(self, store: Store, now: Callable[[], int] = time.time_ns) -> None:
        self._store, self._now = store, now
        self._path = store.home / "digests" / "files.json"
        self._known = self._load()
        self.read: list[Path] = []

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file, from the cache if it is unchanged."""
        place, state = str(path.resolve()), _state(path)
        known = self._known.get(place)
        if isinstance(known, dict) and known.get("state") == state and isinstance(known.get("sha256"), str):
            return str(known["sha256"])
        began = self._now()
        digest = sha256_of(path)
        self.read.append(path)
        if _state(path) == state and began - max(state["mtime"], state["ctime"]) > _SETTLED_NS:
            self._known[place] = {"state": state, "sha256": digest}
            self._save()
        return digest

    def _load(self) -> dict[str, Any]:
        return read_note(self._path) or {}

    def _save(self) -> None:
        self._known = {place: known for place, known in self._known.items() if Path(place).is_file()}
        # A digest that cannot be saved is computed again next time.
        with suppress(HomeError, OSError), self._store.scratch() as folder:
            written = folder / self._path.name
            written.write_text(json.dumps(self._known, indent=1), encoding="utf-8")
            self._path.parent.mkdir(parents=True, exist_ok=True)
            written.replace(self._path)


def _state(path: Path) -> dict[str, int]:
    """Return the stat fields that identify a version of a file; ctime changes even if mtime is set back."""
    found = path.stat()
    return {"size": found.st_size, "mtime": found.st_mtime_ns, "ctime": found.st_ctime_ns, "inode": found.st_ino}
