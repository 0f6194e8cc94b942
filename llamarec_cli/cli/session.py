"""What the commands share: the context of the pipeline, the store, and reading of text files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from llamarec_cli.cli import console
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.small_files import MOST_BYTES, read_small

if TYPE_CHECKING:
    from llamarec_cli.artefacts.context import Context
    from llamarec_cli.store.registry import Artefact, Store


@contextmanager
def pipeline_context(
    *, auto: bool = True, sources: Mapping[str, str] | None = None, speaks: bool = True
) -> Iterator[Context]:
    """Yield the context that functions of the pipeline take, and show their progress while the block runs.

    Args:
        auto: Whether to run missing steps.
        sources: Source of each setting that is not a default, by `table.key`.
        speaks: Whether to show progress and messages; False in worker processes.
    """
    from llamarec_cli.artefacts.contents import wrong_contents
    from llamarec_cli.artefacts.context import Context

    command = shlex.join(["llamarec", *sys.argv[1:]])
    if not speaks:
        yield Context(open_store(wrong_contents), command, auto=auto, sources=sources or {})
        return
    with console.progress() as report:
        yield Context(open_store(wrong_contents), command, report, console.say, console.warn, auto, sources or {})


def open_store(inspect: Callable[[Artefact], str | None] | None = None) -> Store:
    """Open the user's store and recover interrupted replacements, without importing the pipeline.

    Args:
        inspect: Checks the content of each artefact that is opened, and returns what is wrong with it or None.

    Raises:
        HomeError: The home is not a llamarec folder, or cannot be used.
    """
    from llamarec_cli.store.home import default_home
    from llamarec_cli.store.registry import Store

    store = Store(default_home(), inspect) if inspect else Store(default_home())
    for name in store.tidy():
        console.say(f"{name} is restored: replacing it had been interrupted.")
    return store


def read_text(path: Path) -> tuple[str, str]:
    """Read a file, or stdin for `-`.

    Returns:
        The text, and the name of its source for error messages.

    Raises:
        LlamaRecError: The file is missing, cannot be read, is too large, or is not UTF-8.
    """
    name = "The standard input" if str(path) == "-" else str(path)
    try:
        content = sys.stdin.buffer.read(MOST_BYTES + 1) if str(path) == "-" else read_small(path)
        if len(content) > MOST_BYTES:
            raise LlamaRecError(f"{name} is larger than the limit of {MOST_BYTES:,} bytes.", "Shorten it.")
        return content.decode("utf-8-sig"), name
    except FileNotFoundError as error:
        raise LlamaRecError(
            f"There is no file {path}.", "Check the path, or give - to read the standard input."
        ) from error
    except OSError as error:
        raise LlamaRecError(f"{path} cannot be read ({error.strerror}).", "Give a JSON file.") from error
    except UnicodeDecodeError as error:
        raise LlamaRecError(f"{name} is not text in UTF-8.", "Save it as UTF-8.") from error
