"""The home: the one folder that everything is kept in, how it is told from others, and what is said if it fails.

A home has a mark, so that nothing is ever written into, or swept out of, a folder that is somebody else's. The mark is
an empty folder: to make one is one step, which is done or not done, whatever is killed when.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from llamarec_cli.errors import HomeError, LlamaRecError
from llamarec_cli.failures import error_number, file_failures, named_file, refused, shown
from llamarec_cli.store.manifest import MANIFEST_FILE, read_manifest

MARK = ".llamarec-home"
# All that versions before the mark made in a home.
FOLDERS = frozenset({"artefacts", "downloads", "locks", "staging", "work"})
# Said without a file's name while one is written.
_TOO_LARGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WHILE_WRITING = _TOO_LARGE | {errno.EIO, errno.EROFS}
_HINT = "Set LLAMAREC_HOME to a folder of yours."


def default_home() -> Path:
    """Return `LLAMAREC_HOME` if set, else the platform's folder for user data.

    Raises:
        LlamaRecError: The variable holds what cannot be a path.
    """
    chosen = os.environ.get("LLAMAREC_HOME")
    with file_failures("LLAMAREC_HOME", _HINT):
        return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("llamarec")


def check_home(home: Path) -> None:
    """Raise unless a folder is a home, or can become one since it is not there or empty.

    Homes of earlier versions have no mark, but artefacts, and no other folders than those that this program makes.

    Raises:
        HomeError: It is somebody else's, or parts of it are no folders.
        OSError: It cannot be looked at.
    """
    try:
        home.lstat()
    except FileNotFoundError:
        return
    if not home.is_dir():
        raise _unusable(home, "it is no folder")
    if not (home / MARK).is_dir() and not _is_of_an_earlier_version(home):
        hint = "Set LLAMAREC_HOME to a new or an empty folder."
        if _holds_artefacts(home):
            hint = f"If it is a home all the same, with files of yours beside: mkdir {home / MARK}. Else: {hint}"
        raise HomeError(f"{shown(home)} is not empty, and llamarec did not make it.", hint)
    for name in sorted(FOLDERS):
        if os.path.lexists(home / name) and not (home / name).is_dir():
            raise _unusable(home, f"{name} in it is no folder")


def claim_home(home: Path) -> None:
    """Make a home that was checked, and its mark, unless they are there."""
    (home / MARK).mkdir(parents=True, exist_ok=True)


def need_folder(home: Path, folder: Path) -> Path:
    """Make a folder of the home if it is not there.

    Raises:
        HomeError: No folder can be made there.
    """
    try:
        claim_home(home)
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # what /proc says to whoever makes a folder there
        raise _unusable(home, "no folder can be made there") from error
    return folder


@contextmanager
def using_home(home: Path) -> Iterator[None]:
    """Check that a folder is a home, and turn what the file system says about it into a sentence.

    Raises:
        HomeError: It is somebody else's, or cannot be used.
    """
    try:
        check_home(home)
        yield
    except Exception as error:
        if failure := _failure(home, error):
            raise failure from error
        raise


def _failure(home: Path, error: Exception) -> HomeError | None:
    """Return what an error says of the home; None if it is about something else."""
    number, where = error_number(error), named_file(error)
    if number is None:
        return None
    inside = where is not None and where.is_relative_to(home)
    if not inside and not (number in _WHILE_WRITING if where is None else home.is_relative_to(where)):
        return None
    if number in _TOO_LARGE:
        told = refused(number, home if number != errno.EFBIG else f"A file in {home}")
        return HomeError(told.sentence, told.hint)
    file = f"{where.relative_to(home)}: " if where is not None and inside and where != home else ""
    return _unusable(home, f"{file}{os.strerror(number)}")


def _is_of_an_earlier_version(home: Path) -> bool:
    """Tell whether a folder without a mark is empty, or holds what versions before the mark made and nothing else."""
    if any(one.name not in FOLDERS or not one.is_dir() for one in home.iterdir()):
        return False
    if _holds_artefacts(home):
        return True
    # The first command may have been interrupted before it made anything; all that is there then are locks.
    files = (Path(parent) / name for parent, _, names in os.walk(home) for name in names)
    return all(file.suffix == ".lock" and not file.is_symlink() and not file.stat().st_size for file in files)


def _holds_artefacts(home: Path) -> bool:
    for manifest in home.glob(f"artefacts/*/{MANIFEST_FILE}"):
        with suppress(LlamaRecError):
            read_manifest(manifest.parent)
            return True
    return False


def _unusable(home: Path, reason: str) -> HomeError:
    return HomeError(f"The home {shown(home)} cannot be used ({reason}).", _HINT)
