"""Staging: artefacts are made here and renamed into their place, so that each appears whole or not at all.

Every folder lies beside a lock that its maker holds. What a maker that was killed left behind is known by a free lock.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from llamarec_cli.store.home import need_folder, using_home

# Before the name of what was moved aside while another takes its place.
_REPLACED = "-replaced-"
_LOCK = ".lock"


class Staging:
    """Folders in the making, on the file system of the places that they are renamed to.

    Args:
        home: The home.
        places: Folder of the home that finished folders are renamed into.
    """

    def __init__(self, home: Path, places: Path) -> None:
        self._home, self._places, self._folder = home, places, home / "staging"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty folder, removed at the end unless it was renamed away."""
        with using_home(self._home):
            self.sweep()
            need_folder(self._home, self._folder)
            folder = self._folder / uuid.uuid4().hex[:12]
            # Held before the folder is there, so that nobody ever sees it without.
            with FileLock(_lock_of(folder)):
                folder.mkdir()
                try:
                    yield folder
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
                    _lock_of(folder).unlink(missing_ok=True)

    def put(self, folder: Path, name: str) -> None:
        """Rename a folder that was made in a scratch folder into its place, moving aside what is there.

        Args:
            folder: The scratch folder or one inside it.
            name: Name of the place.
        """
        place = self._places / name
        self._places.mkdir(parents=True, exist_ok=True)
        # Named after the scratch folder that its successor comes from, and so under that one's lock.
        owner = folder.relative_to(self._folder).parts[0]
        aside = self._folder / f"{owner}{_REPLACED}{name}"
        if place.exists():
            place.rename(aside)
        try:
            folder.rename(place)
        except OSError:
            if aside.exists():
                aside.rename(place)
            raise
        shutil.rmtree(aside, ignore_errors=True)

    def sweep(self) -> None:
        """Tidy what processes that are gone left behind; what one had moved aside goes back to its place."""
        if not self._folder.is_dir():
            return
        for folder in [path for path in self._folder.iterdir() if path.suffix != _LOCK]:
            owner, moved_aside, name = folder.name.partition(_REPLACED)
            lock = FileLock(_lock_of(self._folder / owner))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                if moved_aside and not (self._places / name).exists():
                    folder.rename(self._places / name)
                else:
                    shutil.rmtree(folder, ignore_errors=True)
                _lock_of(self._folder / owner).unlink(missing_ok=True)
            except FileNotFoundError:  # its owner, or another sweep, was faster
                continue
            finally:
                lock.release()


def _lock_of(folder: Path) -> Path:
    """Return the lock that says whether the maker of a folder is alive."""
    return folder.with_name(folder.name + _LOCK)
