"""The one place that turns what the file system says into a sentence, whoever met it.

Python says it with a number; safetensors and polars say the number in words, and so does shutil of a whole tree. A name
that no file can have is a `ValueError`, and a home directory that nobody has a `RuntimeError`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llamarec_cli.errors import LlamaRecError

_FULL = {errno.ENOSPC, errno.EDQUOT}
# How Rust's libraries end what they say, and how Python's own begins.
_IN_RUST, _IN_PYTHON = re.compile(r"\(os error (\d+)\)"), re.compile(r"\[Errno (\d+)\]")
_RUST = {"safetensors", "polars"}
_LONGEST_SHOWN = 160


def error_number(error: BaseException) -> int | None:
    """Return the number by which the file system refused something; None if that is not what an error is about."""
    if isinstance(error, (ConnectionError, TimeoutError, ChildProcessError)):
        return None
    if isinstance(error, shutil.Error):
        return _first(_IN_PYTHON, error)
    if type(error).__module__ == "builtins" and isinstance(error, OSError):
        return error.errno if error.errno is not None else _first(_IN_RUST, error)
    return _first(_IN_RUST, error) if type(error).__module__.split(".")[0] in _RUST else None


def named_file(error: BaseException) -> Path | None:
    """Return the file that an error names; of two the one that was written to."""
    names = [getattr(error, "filename2", None), getattr(error, "filename", None)]
    return next((Path(os.fsdecode(name)) for name in names if isinstance(name, (str, bytes)) and name), None)


def file_failure(error: BaseException, place: Path | str = "a file", hint: str | None = None) -> LlamaRecError | None:
    """Return an error as a sentence if it is about a file, a folder or a path; None if it is about something else.

    Args:
        error: What was raised.
        place: What to call the file where the error names none.
        hint: What to do about a place that cannot be used; a full disk has a hint of its own.
    """
    number = error_number(error)
    if number is not None:
        return refused(number, named_file(error) or place, hint)
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return LlamaRecError(f"{_escaped(error.object)} cannot be the name of a file.", hint or "Give another name.")
    if isinstance(error, ValueError) and str(error).startswith("embedded null"):
        return LlamaRecError("A path holds a NUL character, which no file can have.", hint or "Give another path.")
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return LlamaRecError("A path begins with ~ and a user who does not exist.", hint or "Write the path in full.")
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):
        return LlamaRecError("A path is a link that leads back to itself.", hint or "Give another path.")
    return None


@contextmanager
def file_failures(place: Path | str, hint: str) -> Iterator[None]:
    """Turn every failure of the file system inside the block into a sentence.

    Args:
        place: What is read or written.
        hint: What to do if it cannot be used.

    Raises:
        LlamaRecError: It cannot be used.
    """
    try:
        yield
    except Exception as error:
        if failure := file_failure(error, place, hint):
            raise failure from error
        raise


def shown(place: Path | str) -> str:
    """Return a path as it is told: its middle left out if it is very long."""
    text = _escaped(str(place))
    half = _LONGEST_SHOWN // 2
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:half]}…{text[-half:]}"


def refused(number: int, place: Path | str, hint: str | None = None) -> LlamaRecError:
    """Return the sentence for a number of the file system's; arguments are those of `file_failure`."""
    place = shown(place)
    if number in _FULL:
        return LlamaRecError(
            f"The disk is full: {place} could not be written.", "Free some space, then repeat the command."
        )
    if number == errno.EFBIG:
        return LlamaRecError(
            f"{place} could not be written: it would be larger than a file may be here.",
            "Raise the limit (ulimit -f unlimited), then repeat the command.",
        )
    return LlamaRecError(
        f"{place} cannot be used ({os.strerror(number)}).", hint or "Check the path, or give another one."
    )


def _first(pattern: re.Pattern[str], error: BaseException) -> int | None:
    found = pattern.search(str(error))
    return int(found[1]) if found else None


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
