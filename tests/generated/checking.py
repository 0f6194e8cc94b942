"""A command line run in a world of its own, and what must hold of every one, whatever it was given."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shlex
import signal
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from generated.world import World
from typer.testing import CliRunner, Result

from llamarec_cli.cli.app import app

# Of the processor; what waits for something else is given longer, since others may be at work.
SECONDS, SECONDS_WAITED = 10, 60
MOST_GROWTH, ADDRESSES = 700 << 20, 4 << 30
LONGEST_SENTENCE = 1500
EXIT_CODES = {0, 1, 2, 130}
# What the program keeps for itself in a home, and may change.
_OWN = ("home/digests", "home/lists", "home/artefacts/shop--signals.test", "home/.llamarec-home")


class Hang(BaseException):
    """A case took longer than any may."""


@dataclass
class Case:
    """One command line.

    Attributes:
        arguments: Behind `llamarec`.
        stdin: What is piped in.
        environment: Variables over those of the world; `None` unsets one.
        changes: Files and folders, within the world, that it was asked to change or to remove.
        told: What was done to its input, for a failure's message.
    """

    arguments: list[str]
    stdin: bytes = b""
    environment: dict[str, str] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    told: str = ""

    def line(self) -> str:
        shown = [one if len(one) < 200 else f"{one[:100]}...({len(one)} characters)" for one in self.arguments]
        variables = "".join(f"{name}={value!r} " for name, value in self.environment.items())
        return f"{variables}llamarec {shlex.join(shown)}".encode("utf-8", "backslashreplace").decode()


def snapshot(folder: Path) -> dict[str, str]:
    """Tell each file and folder below a folder from what it was before."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent) / name for name in (*folders, *files)):
            found[str(path.relative_to(folder))] = _told(path)
    return found


def _told(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    if not stat.S_ISREG(mode):
        return f"no file: {stat.S_IFMT(mode)}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(case: Case, world: World, during: AbstractContextManager[Any]) -> Result:
    """Run a command line in this process, with its world as the working folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLAMAREC_HOME", str(world.home))
        patch.setenv("XDG_DATA_HOME", str(world / "xdg"))
        for name, value in case.environment.items():
            patch.setenv(name, value)
        patch.chdir(world.folder)
        patch.setattr("sys.argv", ["llamarec", *case.arguments])
        with guarded(), bounded(), during:
            return CliRunner().invoke(app, case.arguments, input=case.stdin)


@contextmanager
def guarded() -> Iterator[None]:
    def hang(*_: Any) -> None:
        raise Hang

    before = {number: signal.signal(number, hang) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_WAITED)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def bounded() -> Iterator[None]:
    """Let whatever takes all memory there is fail, and not the machine."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def checked(case: Case, world: World, during: AbstractContextManager[Any] | None = None) -> list[str]:
    """Run a case, inside of a context if one is given, and return all that is wrong with what it did."""
    before, most = snapshot(world.folder), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        result = run(case, world, during or nullcontext())
    except Hang:
        return [f"hang: more than {SECONDS} seconds of the processor, or {SECONDS_WAITED} in all"]
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most)
    wrong = [*_wrong_end(case, result), *_wrong_text(result), *wrong_files(case, world, before, result.stderr)]
    if grown > MOST_GROWTH:
        wrong.append(f"memory: {grown >> 20:,} MB more than before")
    return wrong


def _wrong_end(case: Case, result: Result) -> Iterator[str]:
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        yield f"traceback: {type(result.exception).__name__}: {str(result.exception)[:300]}{_where(result)}"
        return
    if result.exit_code not in EXIT_CODES:
        yield f"exit code: {result.exit_code}"
    if "Traceback" in result.stderr + result.stdout:
        yield "traceback: on a stream"
    errors = re.findall(r"^Error: ?(.*)$", result.stderr, re.MULTILINE)
    if result.exit_code in (1, 2) and len(errors) != 1 and not _told_otherwise(case, result):
        yield f"sentence: {len(errors)} of them: {result.stderr[-300:]!r}"
    if result.exit_code == 0 and errors:
        yield f"sentence: exit code 0, and {errors[0]}"
    by_the_parser = "\nTry 'llamarec" in result.stderr  # which repeats what it was given
    for sentence in errors:
        if not sentence.strip() or (len(sentence) > LONGEST_SENTENCE and not by_the_parser):
            yield f"sentence: of {len(sentence)} characters: {sentence[:200]}"
    if result.exit_code == 0 and "--json" in case.arguments and "--help" not in case.arguments:
        yield from _wrong_json(result.stdout)


def _where(result: Result) -> str:
    frames, trace = [], result.exc_info[2] if result.exc_info else None
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/llamarec_cli/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    ours = [frame for frame in frames if not frame.startswith("/")]
    return f" in {' '.join(ours[-3:])} ({frames[-1][-80:]})"


def _told_otherwise(case: Case, result: Result) -> bool:
    """Tell whether an exit code other than 0 has no sentence of its own by design."""
    if not case.arguments or case.arguments[-1] in ("train", "bench", "store"):
        return True
    summed_up = re.search(r"[1-9][\d,]* of them with an error|\"errors\": [1-9]", result.stdout + result.stderr)
    return bool(summed_up) or (case.arguments[0] == "doctor" and "Warning: " in result.stderr)


def _wrong_json(text: str) -> Iterator[str]:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        for line in text.splitlines():
            json.loads(line, parse_constant=refuse)
    except ValueError as error:
        yield f"json: {error}: {text[:200]!r}"


def _wrong_text(result: Result) -> Iterator[str]:
    for name, text in (("stdout", result.stdout), ("stderr", result.stderr)):
        # A usage that is wrong is told by the parser, which sets choices behind tabs.
        allowed = "\n\t" if "\nTry 'llamarec" in text else "\n"
        steering = {one for one in text if unicodedata.category(one) in ("Cc", "Cs") and one not in allowed}
        if steering:
            yield f"terminal: {sorted(steering)} on {name}"


def wrong_files(case: Case, world: World, before: dict[str, str], stderr: str) -> Iterator[str]:
    """Tell what stood before and does not, and what was left over."""
    may_change = tuple(f"{one}/" for one in (*_OWN, *case.changes))
    after = snapshot(world.folder)
    for path, content in before.items():
        if not f"{path}/".startswith(may_change) and after.get(path) != content:
            yield f"damaged: {path} was {'changed' if path in after else 'removed'}"
    for path in sorted(after.keys() - before.keys()):
        if re.fullmatch(r"(home|.*/home|nowhere/x)/(staging|locks)/.+", path):
            yield f"left over: {path}"
        if path.endswith((".partial", ".part", ".lock")) and "--resume" not in stderr:
            yield f"left over, without a word: {path}"
