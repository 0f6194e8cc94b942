"""A process in which all is imported and nothing was computed, forked for each command line, which may be killed.

So a command costs what it does, and not what it imports; and since no library has started a thread yet, a fork of it is
as good as a process of its own. `Warm` starts one; the module itself is what runs in it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_IMPORTED = (
    "llamarec_cli.cli.app", "llamarec_cli.artefacts.verify", "llamarec_cli.pipeline.prepare",
    "llamarec_cli.pipeline.recommend.file", "llamarec_cli.pipeline.train.retriever", "llamarec_cli.store.archive",
    "llamarec_cli.data.tables", "rich.table",
)  # fmt: skip
# What is counted as a step, if it is within the folder; each is told by Python before it is done.
_STEPS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "fcntl.flock", "os.link", "os.symlink"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_COUNT = "steps"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code, or the number of the signal that killed it, below 0.
        steps: Steps on the file system that it took; -1 if it was killed.
        stdout: What it printed.
        stderr: What it told.
    """

    code: int
    steps: int
    stdout: str
    stderr: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Warm:
    """The process.

    Args:
        streams: A folder for what commands print.
    """

    def __init__(self, streams: Path) -> None:
        root = Path(__file__).parents[2]
        self._streams = streams
        self._process = subprocess.Popen(
            [sys.executable, "-m", "generated.warm"],
            env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, *arguments: str, kill: int | None = None) -> Ended:
        """Run a command line in a folder that holds a home, and kill it before a step, counted from 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"folder": str(folder), "arguments": arguments, "kill": kill, "streams": str(self._streams)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


def _serve() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    _rehearse()
    for line in sys.stdin:
        asked = json.loads(line)
        streams = Path(asked["streams"])
        (streams / _COUNT).write_text("-1")
        child = os.fork()
        if not child:
            _work(asked, streams)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [(streams / name).read_text(errors="replace") for name in ("stdout", "stderr")]
        sys.stdout.write(json.dumps(asdict(Ended(code, int((streams / _COUNT).read_text()), *texts))) + "\n")
        sys.stdout.flush()


def _rehearse() -> None:
    """Look at an empty home, which imports what is imported late, and builds the commands once."""
    from typer.testing import CliRunner

    from llamarec_cli.cli.app import app

    with tempfile.TemporaryDirectory() as folder:
        for line in ("store list --json", "store verify", "store prune"):
            CliRunner().invoke(app, line.split(), env={"LLAMAREC_HOME": folder})


def _work(asked: dict[str, Any], streams: Path) -> None:
    """Be the command."""
    from llamarec_cli.cli.app import main

    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(streams / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked["folder"])
    os.environ["LLAMAREC_HOME"] = str(Path(asked["folder"]) / "home")
    sys.argv = ["llamarec", *asked["arguments"]]
    counted = _count_steps(asked["folder"], asked["kill"])
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    steps = counted[0]
    (streams / _COUNT).write_text(str(steps))
    os._exit(code)


def _count_steps(folder: str, kill: int | None) -> list[int]:
    """Count steps within a folder, and kill this process before one of them."""
    counted = [0]

    def step(where: object) -> None:
        text = None if isinstance(where, int) else os.fsdecode(where)  # type: ignore[arg-type]
        if text is None or not text.startswith(os.sep) or text.startswith(folder):
            if counted[0] == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            counted[0] += 1

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event in _STEPS or (event == "open" and isinstance(given[2], int) and given[2] & _WRITING):
            step(given[0])

    fsync = os.fsync

    def synced(number: int) -> None:
        step(number)
        fsync(number)

    os.fsync = synced
    sys.addaudithook(hook)
    return counted


if __name__ == "__main__":
    _serve()
