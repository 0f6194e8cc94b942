"""The home: the folder that holds everything, its marker, and translation of errors in it.

The marker identifies a home, so that nothing is ever written to, or deleted from, a folder of the user's own. It is an
empty folder, because creating one is atomic.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from llamarec_cli.errors import HomeError, LlamaRecError
from llamarec_cli.failures import display_path, errno_failure, error_number, file_failures, named_file
from llamarec_cli.store.manifest import MANIFEST_FILE, read_manifest

MARK = ".llamarec-home"
# Everything that versions before the marker created in a home.
FOLDERS = frozenset({"artefacts", "downloads", "locks", "staging", "work"})
# Errors that carry no file name when they occur while writing.
_TOO_LARGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WHILE_WRITING = _TOO_LARGE | {errno.EIO, errno.EROFS}
_HINT = "Set LLAMAREC_HOME to a folder of yours."


def default_home() -> Path:
    """Return `LLAMAREC_HOME` if set, else the platform's folder for user data.

    Raises:
        LlamaRecError: The variable is not a valid path.
    """
    chosen = os.environ.get("LLAMAREC_HOME")
    with file_failures("LLAMAREC_HOME", _HINT):
        return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("llamarec")


def check_home(home: Path) -> None:
    """Raise unless a folder is a home, or may become one because it is missing or empty.

    A home of an earlier version has no marker, but holds artefacts, and only folders that this program creates.

    Raises:
        HomeError: It is another program's or the user's, or a part of it is not a folder.
        OSError: It cannot be read.
    """
    try:
        home.lstat()
    except FileNotFoundError:
        return
    if not home.is_dir():
        raise _unusable(home, "it is not a folder")
    if not (home / MARK).is_dir() and not _is_of_an_earlier_version(home):
        hint = "Set LLAMAREC_HOME to a new or an empty folder."
        if _holds_artefacts(home):
            hint = f"If it is a home that also holds files of yours: mkdir {home / MARK}. Otherwise: {hint}"
        raise HomeError(f"{display_path(home)} is not empty and is not a llamarec home.", hint)
    for name in sorted(FOLDERS):
        if os.path.lexists(home / name) and not (home / name).is_dir():
            raise _unusable(home, f"{name} in it is not a folder")


def claim_home(home: Path) -> None:
    """Create the home and its marker if they are missing; call `check_home` first."""
    (home / MARK).mkdir(parents=True, exist_ok=True)


def need_folder(home: Path, folder: Path) -> Path:
    """Create a folder in the home if it is missing.

    Raises:
        HomeError: It cannot be created.
    """
    try:
        claim_home(home)
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # raised by pseudo file systems such as /proc
        raise _unusable(home, "no folder can be created there") from error
    return folder


@contextmanager
def using_home(home: Path) -> Iterator[None]:
    """Check that a folder is a home, and translate file-system errors about it raised in the block.

    Raises:
        HomeError: It is not a home, or unusable.
    """
    try:
        check_home(home)
        yield
    except Exception as error:
        if failure := _failure(home, error):
            raise failure from error
        raise


def _failure(home: Path, error: Exception) -> HomeError | None:
    """Translate an error about the home; return None for any other error."""
    number, where = error_number(error), named_file(error)
    if number is None:
        return None
    inside = where is not None and where.is_relative_to(home)
    if not inside and not (number in _WHILE_WRITING if where is None else home.is_relative_to(where)):
        return None
    if number in _TOO_LARGE:
        failure = errno_failure(number, home if number != errno.EFBIG else f"A file in {home}")
        return HomeError(failure.sentence, failure.hint)
    file = f"{where.relative_to(home)}: " if where is not None and inside and where != home else ""
    return _unusable(home, f"{file}{os.strerror(number)}")


def _is_of_an_earlier_version(home: Path) -> bool:
    """Return whether a folder without a marker is empty, or holds only what versions before the marker created."""
    if any(one.name not in FOLDERS or not one.is_dir() for one in home.iterdir()):
        return False
    if _holds_artefacts(home):
        return True
    # A first command that was interrupted before it created an artefact leaves only locks.
    files = (Path(parent) / name for parent, _, names in os.walk(home) for name in names)
    return all(file.suffix == ".lock" and not file.is_symlink() and not file.stat().st_size for file in files)


def _holds_artefacts(home: Path) -> bool:
    for manifest in home.glob(f"artefacts/*/{MANIFEST_FILE}"):
        with suppress(LlamaRecError):
            read_manifest(manifest.parent)
            return True
    return False


def _unusable(home: Path, reason: str) -> HomeError:
    return HomeError(f"The home {display_path(home)} cannot be used ({reason}).", _HINT)
