"""Staging: artefacts are made here and renamed into their place, so that each appears whole or not at all.

Every folder lies beside a lock that its maker holds, and both have a name that only this program gives. What a maker
that was killed left behind is known by that name and a free lock; anything else is not touched.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from llamarec_cli.store.home import need_folder, using_home

# Before the name of what was moved aside while another takes its place.
_REPLACED = "-replaced-"
_LOCK = ".lock"
_DIGITS = 12
_OURS = re.compile(rf"(?P<owner>[0-9a-f]{{{_DIGITS}}})(?:{_LOCK}|{_REPLACED}(?P<place>.+))?")


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
            folder = self._folder / uuid.uuid4().hex[:_DIGITS]
            # Held before the folder is there, so that nobody ever sees it without.
            with FileLock(_lock_of(folder)):
                try:
                    folder.mkdir()
                    yield folder
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
                    _forget(folder)

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

    def sweep(self) -> list[str]:
        """Tidy what processes that are gone left behind; what one had moved aside goes back to its place.

        Returns:
            Names of the places that something was put back into.
        """
        if not self._folder.is_dir():
            return []
        left: dict[str, list[Path]] = {}
        for path in sorted(self._folder.iterdir()):
            if found := _OURS.fullmatch(path.name):
                left.setdefault(found["owner"], []).append(path)
        back: list[str] = []
        for owner, paths in left.items():
            lock_file = _lock_of(self._folder / owner)
            if lock_file in paths:
                paths.remove(lock_file)
                # Held by its maker, or in a home that may be read and not written.
                with suppress(Timeout, OSError), FileLock(lock_file, timeout=0):
                    back += [name for path in paths if (name := self._tidy(path))]
                    _forget(self._folder / owner)
        return back

    def _tidy(self, path: Path) -> str | None:
        """Remove one left-over, or put it back, and return the name of its place."""
        found = _OURS.fullmatch(path.name)
        name = found["place"] if found else None
        if name and path.is_dir() and not (self._places / name).exists():
            path.rename(self._places / name)
            return name
        shutil.rmtree(path, ignore_errors=True)
        return None


def _forget(folder: Path) -> None:
    """Remove the lock of a folder that is gone; beside one that could not be removed it stays, to be tried again."""
    if not folder.exists():
        _lock_of(folder).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    """Return the lock that says whether the maker of a folder is alive."""
    return folder.with_name(folder.name + _LOCK)
