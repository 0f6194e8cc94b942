"""Output files: checked before long work, and written atomically."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.failures import display_path, file_failures

# Suffix of an output's name until it is complete.
PARTIAL = ".partial"


def need_output(path: Path, remedy: str, longest: str = PARTIAL) -> None:
    """Check, before long work, that a file can be written.

    Args:
        path: The file.
        remedy: What to do if not, such as ``change `output` ``.
        longest: The longest suffix that its name gets while it is written.

    Raises:
        LlamaRecError: Its folder is missing or not writable, or the path is not a regular file.
    """
    hint = f"{remedy[0].upper()}{remedy[1:]}."
    with file_failures(path, hint):
        if not path.parent.is_dir():
            raise LlamaRecError(f"There is no folder {display_path(path.parent)}.", f"Make it, or {remedy}.")
        if path.is_dir():
            raise LlamaRecError(f"{display_path(path)} is a folder.", hint)
        if path.exists() and not path.is_file():
            raise LlamaRecError(f"{display_path(path)} is not a regular file.", hint)
        if path.is_symlink() and not path.exists():
            raise LlamaRecError(f"{display_path(path)} is a symbolic link to a file that does not exist.", hint)
        if not os.access(path.parent, os.W_OK):
            raise LlamaRecError(f"The folder {display_path(path.parent)} cannot be written.", hint)
        # Raises for a name that is too long or cannot be encoded.
        with suppress(FileNotFoundError):
            path.with_name(path.name + longest).lstat()


@contextmanager
def written_whole(path: Path, remedy: str) -> Iterator[Path]:
    """Yield a temporary file that replaces the output if the block succeeds, and is removed if it raises.

    Args:
        path: The output; an existing file is replaced at the end.
        remedy: What to do if it cannot be written, such as ``change `output` ``.

    Raises:
        LlamaRecError: It cannot be written.
    """
    partial = path.with_name(path.name + PARTIAL)
    with file_failures(path, f"{remedy[0].upper()}{remedy[1:]}."):
        try:
            yield partial
            partial.replace(path)
        except BaseException:
            with suppress(OSError, ValueError):
                partial.unlink(missing_ok=True)
            raise
