"""A process that dies, by the signal that nothing can catch, before its n-th step on the file system."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "fcntl.flock"}


def killed_at(step: int, folder: Path, work: Callable[[], Any]) -> bool:
    """Do some work in a process of its own, and kill that before its step-th touch of a folder.

    Args:
        step: Which step, from 0: to open, rename, make, lock or remove something.
        folder: Steps outside of it do not count.
        work: The work.

    Returns:
        Whether the process was killed; False if the work has not so many steps.
    """
    child = os.fork()
    if not child:
        left = step

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event not in _STEPS:
                return
            where = arguments[0]
            relative = isinstance(where, str) and not where.startswith(os.sep)  # as shutil.rmtree removes
            if isinstance(where, int) or relative or os.fsdecode(where).startswith(str(folder)):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0
