"""Locks on names: who makes an artefact holds the lock of its name, so that nobody else makes the same meanwhile.

A lock is a file in the home while it is held, and gone afterwards. To remove it is safe, since whoever waits for one
looks whether what it got is still the file of that name, and tries again if not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from llamarec_cli.store.home import need_folder, using_home
from llamarec_cli.store.names import is_well_formed, name_of, place_of

_ENDING = ".lock"


class NameLocks:
    """The locks of one home.

    Args:
        home: The home.
    """

    def __init__(self, home: Path) -> None:
        self._home, self._folder = home, home / "locks"
        self._held: set[str] = set()

    @contextmanager
    def held(self, name: str, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock of a name; wait, and say so, if another process does. It may be taken again within.

        Args:
            name: Name of an artefact.
            say: Told once if there is somebody to wait for.
        """
        if name in self._held:
            yield
            return
        with using_home(self._home):
            path = need_folder(self._home, self._folder) / f"{place_of(name)}{_ENDING}"
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"Another process is making {name}; waiting for it.")
                lock.acquire()
        self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            lock.release()

    def sweep(self) -> None:
        """Remove the locks of processes that are gone: empty files that have an artefact's name, held by nobody."""
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob(f"*{_ENDING}")):
            ours = is_well_formed(name_of(path.name.removesuffix(_ENDING)))
            # Held by its maker, or in a home that may be read and not written.
            with suppress(Timeout, OSError):
                if ours and path.is_file() and not path.is_symlink() and not path.stat().st_size:
                    with FileLock(path, timeout=0):
                        path.unlink()
