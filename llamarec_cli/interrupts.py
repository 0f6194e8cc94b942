"""Handling of interrupts (Ctrl-C): none is lost, from the first import to the end of the process."""

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
# Delay before an interrupt that a destructor swallowed is raised again.
_RERAISE_SECONDS = 0.05


def leave_at_once() -> None:
    """Make an interrupt end the process at once, without a traceback; for use while there is nothing to clean up.

    Interrupts that the shell ignores, as for background jobs, stay ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def while_working() -> Iterator[None]:
    """Make an interrupt raise `KeyboardInterrupt` while the block runs.

    Python discards exceptions raised in a destructor. An interrupt that arrives there is raised again shortly after, at
    the latest at the end of the block.
    """
    if signal.getsignal(signal.SIGINT) is not _leave:  # called from another program, or interrupts are ignored
        yield
        return
    swallowed = threading.Event()
    usual = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            swallowed.set()
            again = threading.Timer(_RERAISE_SECONDS, _thread.interrupt_main)
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
