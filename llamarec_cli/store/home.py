"""The home: the one folder that everything is kept in, and what is said when it cannot be used."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from safetensors import SafetensorError

from llamarec_cli.errors import HomeError

_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


def default_home() -> Path:
    """Return `LLAMAREC_HOME` if set, else the platform's folder for user data."""
    chosen = os.environ.get("LLAMAREC_HOME")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("llamarec")


def need_folder(home: Path, folder: Path) -> Path:
    """Make a folder of the home if it is not there.

    Raises:
        HomeError: No folder can be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # what /proc says to whoever makes a folder there
        raise _unusable(home, "no folder can be made there") from error
    return folder


@contextmanager
def using_home(home: Path) -> Iterator[None]:
    """Turn what the operating system says about a forbidden folder or a full disk into a sentence."""
    try:
        yield
    except (SafetensorError, shutil.Error) as error:
        # Both say in words what the operating system said in numbers.
        if "No space left" in str(error):
            raise _disk_full(home) from error
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _disk_full(home) from error
        where = Path(error.filename) if error.filename else None
        if error.errno in _FORBIDDEN and where and (where.is_relative_to(home) or home.is_relative_to(where)):
            raise _unusable(home, error.strerror or "forbidden") from error
        raise


def _unusable(home: Path, reason: str) -> HomeError:
    return HomeError(f"The home {home} cannot be used ({reason}).", "Set LLAMAREC_HOME to a folder of yours.")


def _disk_full(home: Path) -> HomeError:
    return HomeError(f"The disk is full: {home} could not be written.", "Free some space, then repeat the command.")
