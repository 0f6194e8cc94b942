"""Files that a user asks for: seen to be possible before the work, and there whole or not at all after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.failures import file_failures, shown

# Behind the name of an output until it is whole.
PARTIAL = ".partial"


def need_output(path: Path, remedy: str, longest: str = PARTIAL) -> None:
    """Check, before long work, that a file can be written.

    Args:
        path: The file.
        remedy: What to do if not, such as `change --output`.
        longest: The longest ending that its name gets while it is written.

    Raises:
        LlamaRecError: There is no such folder, it cannot be written, or something else has that name.
    """
    hint = f"{remedy[0].upper()}{remedy[1:]}."
    with file_failures(path, hint):
        if not path.parent.is_dir():
            raise LlamaRecError(f"There is no folder {shown(path.parent)}.", f"Make it, or {remedy}.")
        if path.is_dir():
            raise LlamaRecError(f"{shown(path)} is a folder.", hint)
        if path.exists() and not path.is_file():
            raise LlamaRecError(f"{shown(path)} is no plain file.", hint)
        if not os.access(path.parent, os.W_OK):
            raise LlamaRecError(f"The folder {shown(path.parent)} cannot be written.", hint)
        # What the file system says of a name that is too long, or that it cannot write.
        with suppress(FileNotFoundError):
            path.with_name(path.name + longest).lstat()


@contextmanager
def written_whole(path: Path, remedy: str) -> Iterator[Path]:
    """Yield a file to be written, which takes the output's place if the block ends well and is removed if not.

    Args:
        path: The output; what is there already is replaced at the end.
        remedy: What to do if it cannot be written, such as `change --output`.

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
