"""Translation of file-system errors into `LlamaRecError`.

An `OSError` carries an errno. safetensors, polars and `shutil.copytree` only print the errno in their message. An
impossible file name is a `ValueError`, and an unknown home directory (`~nobody`) a `RuntimeError`.
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
# The errno in messages of libraries written in Rust, and in those of Python itself.
_IN_RUST, _IN_PYTHON = re.compile(r"\(os error (\d+)\)"), re.compile(r"\[Errno (\d+)\]")
_RUST_LIBRARIES = {"safetensors", "polars"}
_NO_MEMORY = re.compile(r"can't allocate memory|out of memory|not enough memory", re.IGNORECASE)
_LONGEST_SHOWN = 160


def error_number(error: BaseException) -> int | None:
    """Return the errno of a file-system error; None for any other error."""
    if isinstance(error, (ConnectionError, TimeoutError, ChildProcessError)):
        return None
    if isinstance(error, shutil.Error):
        return _first(_IN_PYTHON, error)
    if type(error).__module__ == "builtins" and isinstance(error, OSError):
        return error.errno if error.errno is not None else _first(_IN_RUST, error)
    return _first(_IN_RUST, error) if type(error).__module__.split(".")[0] in _RUST_LIBRARIES else None


def named_file(error: BaseException) -> Path | None:
    """Return the file that an error names; of two, the destination."""
    names = [getattr(error, "filename2", None), getattr(error, "filename", None)]
    return next((Path(os.fsdecode(name)) for name in names if isinstance(name, (str, bytes)) and name), None)


def file_failure(error: BaseException, place: Path | str = "a file", hint: str | None = None) -> LlamaRecError | None:
    """Translate an error about a file, a folder or a path; return None for any other error.

    Args:
        error: The error raised.
        place: How to call the file if the error names none.
        hint: What to do about an unusable path; a full disk has its own hint.
    """
    number = error_number(error)
    if number is not None:
        return errno_failure(number, named_file(error) or place, hint)
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return LlamaRecError(f"{_escaped(error.object)} cannot be the name of a file.", hint or "Give another name.")
    if isinstance(error, ValueError) and str(error).startswith("embedded null"):
        return LlamaRecError("A path contains a NUL character.", hint or "Give another path.")
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return LlamaRecError("A path begins with ~ and a user who does not exist.", hint or "Write the path in full.")
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):
        return LlamaRecError("A path is a symbolic link to itself.", hint or "Give another path.")
    return None


def memory_failure(error: BaseException) -> LlamaRecError | None:
    """Translate an error about memory that could not be had; return None for any other error."""
    # torch raises a RuntimeError for the CPU's memory, and a subclass of it for a GPU's.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
        return LlamaRecError(
            "There is not enough memory for this.",
            "Lower width, batch_size or max_length in a `config` file, or choose a smaller base model with `base`.",
        )
    return None


@contextmanager
def file_failures(place: Path | str, hint: str) -> Iterator[None]:
    """Translate every file-system error raised in the block.

    Args:
        place: The file read or written.
        hint: What to do if it is unusable.

    Raises:
        LlamaRecError: A file-system error was raised.
    """
    try:
        yield
    except Exception as error:
        if failure := file_failure(error, place, hint):
            raise failure from error
        raise


def display_path(place: Path | str) -> str:
    """Return a path for messages, with the middle of a very long one elided."""
    text = _escaped(str(place))
    half = _LONGEST_SHOWN // 2
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:half]}…{text[-half:]}"


def errno_failure(number: int, place: Path | str, hint: str | None = None) -> LlamaRecError:
    """Return the error for an errno; see `file_failure` for the other arguments."""
    place = display_path(place)
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
