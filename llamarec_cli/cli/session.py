"""What the verbs share: how they get at the pipeline, and how they read files."""

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
    """Yield what verbs of the pipeline are given, with progress shown while the block runs.

    Args:
        auto: Whether missing steps are taken.
        sources: Where each setting came from that is not a default.
        speaks: Whether anything is shown; not so in processes that only help another one.
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
    """Return the user's store, tidied, without the weight of the pipeline.

    Args:
        inspect: Tells what is wrong with the content of an artefact that is opened.

    Raises:
        HomeError: Its home is somebody else's, or cannot be used.
    """
    from llamarec_cli.store.home import default_home
    from llamarec_cli.store.registry import Store

    store = Store(default_home(), inspect) if inspect else Store(default_home())
    for name in store.tidy():
        console.say(f"{name} had been moved aside by a replacement that was interrupted; it is back.")
    return store


def read_text(path: Path) -> tuple[str, str]:
    """Read a file, or stdin for `-`.

    Returns:
        The text, and what to call its source in an error.

    Raises:
        LlamaRecError: It cannot be read, is no file, is too large, or is not UTF-8.
    """
    name = "The standard input" if str(path) == "-" else str(path)
    try:
        content = sys.stdin.buffer.read(MOST_BYTES + 1) if str(path) == "-" else read_small(path)
        if len(content) > MOST_BYTES:
            raise LlamaRecError(f"{name} is larger than {MOST_BYTES:,} bytes, the most that is read.", "Shorten it.")
        return content.decode("utf-8-sig"), name
    except FileNotFoundError as error:
        raise LlamaRecError(
            f"There is no file {path}.", "Check the path, or give - to read the standard input."
        ) from error
    except OSError as error:
        raise LlamaRecError(f"{path} cannot be read ({error.strerror}).", "Give a JSON file.") from error
    except UnicodeDecodeError as error:
        raise LlamaRecError(f"{name} is not text in UTF-8.", "Save it as UTF-8.") from error
