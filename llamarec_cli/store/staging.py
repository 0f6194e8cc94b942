"""Staging: artefacts are created in temporary folders and renamed to their places, so that they appear atomically.

Beside every temporary folder is a lock that its process holds; both have names that only this program gives. A folder
with such a name and a free lock is a leftover of a killed process; anything else is not touched.
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

# Infix in the name of an artefact moved aside while another replaces it.
_REPLACED = "-replaced-"
_LOCK = ".lock"
_DIGITS = 12
_OURS = re.compile(rf"(?P<owner>[0-9a-f]{{{_DIGITS}}})(?:{_LOCK}|{_REPLACED}(?P<place>.+))?")


class Staging:
    """Temporary folders on the same file system as their final places.

    Args:
        home: The home.
        places: Folder of the home that holds the final places.
    """

    def __init__(self, home: Path, places: Path) -> None:
        self._home, self._places, self._folder = home, places, home / "staging"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty temporary folder, removed at the end unless it was renamed."""
        with using_home(self._home):
            self.sweep()
            need_folder(self._home, self._folder)
            folder = self._folder / uuid.uuid4().hex[:_DIGITS]
            # Acquired before the folder exists, so that no process sees the folder without a held lock.
            with FileLock(_lock_of(folder)):
                try:
                    folder.mkdir()
                    yield folder
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
                    _forget(folder)

    def put(self, folder: Path, name: str) -> None:
        """Rename a temporary folder to its final place, replacing what is there.

        Args:
            folder: A folder from `scratch`, or one inside it.
            name: Name of the final place.
        """
        place = self._places / name
        self._places.mkdir(parents=True, exist_ok=True)
        # Named after the temporary folder of its successor, so that it is covered by the same lock.
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
        """Clean up after dead processes: restore artefacts that were moved aside, and remove the rest.

        Returns:
            Names of the places restored.
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
                # Held by a live process, or in a read-only home.
                with suppress(Timeout, OSError), FileLock(lock_file, timeout=0):
                    back += [name for path in paths if (name := self._tidy(path))]
                    _forget(self._folder / owner)
        return back

    def _tidy(self, path: Path) -> str | None:
        """Remove a leftover, or restore it and return the name of its place."""
        found = _OURS.fullmatch(path.name)
        name = found["place"] if found else None
        if name and path.is_dir() and not (self._places / name).exists():
            path.rename(self._places / name)
            return name
        shutil.rmtree(path, ignore_errors=True)
        return None


def _forget(folder: Path) -> None:
    """Remove the lock of a removed folder; keep it if the folder still exists, so that a later sweep tries again."""
    if not folder.exists():
        _lock_of(folder).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    """Return the lock file of a temporary folder."""
    return folder.with_name(folder.name + _LOCK)
