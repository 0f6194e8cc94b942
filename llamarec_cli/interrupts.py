"""Interrupts (Ctrl-C), from the first line of the program to its last: each is heard, wherever it falls."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXIT_CODE = 130
# Until an interrupt that a destructor swallowed is raised again, where it can be caught.
_SECONDS = 0.05


def leave_at_once() -> None:
    """Let an interrupt end the process at once, without a traceback, while there is nothing to be cleaned up.

    Where a shell has interrupts ignored, as for jobs in the background, they stay so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def while_working() -> Iterator[None]:
    """Let an interrupt raise `KeyboardInterrupt` while the block runs.

    Python throws away what is raised in a destructor; an interrupt that falls there is raised again behind it, at the
    latest at the end of the block.
    """
    if signal.getsignal(signal.SIGINT) is not _leave:  # a program of somebody else, or interrupts are ignored
        yield
        return
    swallowed = threading.Event()
    usual = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            swallowed.set()
            again = threading.Timer(_SECONDS, _thread.interrupt_main)
            again.daemon = True
            again.start()
        else:
            usual(unraisable)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = hook
    try:
        yield
        if swallowed.is_set():
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, _leave)
        sys.unraisablehook = usual


def _leave(*_: object) -> None:
    try:
        os.write(2, b"Interrupted.\n")
    finally:
        os._exit(EXIT_CODE)
