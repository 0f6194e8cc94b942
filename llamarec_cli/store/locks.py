"""Locks on artefact names, so that only one process at a time creates an artefact of that name.

A lock is a file in the home that exists while it is held. Removing it is safe: a process that acquires it checks that
the file still has that name, and tries again if not.
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
        """Hold the lock of a name, waiting while another process holds it; reentrant within this object.

        Args:
            name: Name of an artefact.
            say: Called once, with a message, if there is a process to wait for.
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
                say(f"Waiting for another process that is creating {name}.")
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
        """Remove the locks of dead processes: empty files with the name of an artefact that no process holds."""
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob(f"*{_ENDING}")):
            ours = is_well_formed(name_of(path.name.removesuffix(_ENDING)))
            # Held by a live process, or in a read-only home.
            with suppress(Timeout, OSError):
                if ours and path.is_file() and not path.is_symlink() and not path.stat().st_size:
                    with FileLock(path, timeout=0):
                        path.unlink()
