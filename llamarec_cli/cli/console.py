"""The only module that prints. Results go to stdout, everything else to stderr.

Titles, names, manifests and messages of libraries are untrusted text, so `plain` removes terminal control characters
from all output.

Rich is imported where it is used, to keep `--help` fast.
"""

from __future__ import annotations

import re
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llamarec_cli import strict_json
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress, Reporter

_BREAKS = "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"
_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# An argument in a message of the pipeline; see `errors`.
_ARGUMENT = re.compile(r"`([a-z][a-z_]*)`")
# Seconds between two lines of progress when stderr is not a terminal.
_LINE_SECONDS = 60


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout, in ASCII so that it does not depend on the locale."""
    print(strict_json.dumps(value))


def print_lines(*lines: str) -> None:
    """Print lines on stdout."""
    for line in lines:
        print(plain(line))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[str] = ()) -> None:
    """Print a table on stdout.

    Args:
        title: Heading.
        columns: Names of the columns.
        rows: Cells of each row.
        numeric: Names of the columns to align right.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(plain(title)), title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(Text(plain(column)), justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    # Without a terminal, a fixed width that no table exceeds keeps cells from being wrapped.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def plain(text: str) -> str:
    """Return a text on one line, without characters that control a terminal.

    Removed are control characters, which escape sequences consist of, and bidirectional controls, which can make a text
    look like another one. Line breaks and tabs become spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_printable(one) for one in text if one in _BREAKS or not _controls(one))


def _printable(character: str) -> str:
    if character in _BREAKS:
        return " "
    # A lone surrogate, as in a file name that is not UTF-8, cannot be encoded.
    return "\ufffd" if unicodedata.category(character) == "Cs" else character


def _controls(character: str) -> bool:
    return unicodedata.category(character) == "Cc" or character in _DIRECTIONS


def say(message: str) -> None:
    """Print a message on stderr."""
    print(plain(with_options(message)), file=sys.stderr, flush=True)


def with_options(message: str) -> str:
    """Return a message in which arguments in backticks, such as `top`, are written as options."""
    return _ARGUMENT.sub(lambda match: "--" + match[1].replace("_", "-"), message)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    say(f"Warning: {message}")


def show_error(error: LlamaRecError) -> None:
    """Print an error and its hint on stderr."""
    say(f"Error: {error.sentence}")
    if error.hint:
        say(f"  Try: {error.hint}")


def confirm(question: str) -> bool:
    """Ask on the terminal; any answer but yes is no, and so is the lack of a terminal."""
    if not sys.stdin.isatty():
        return False
    print(plain(f"{question} [y/N] "), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@contextmanager
def progress() -> Iterator[Reporter]:
    """Yield a reporter: progress bars on a terminal; otherwise all notes, and one line of progress per minute."""
    if not sys.stderr.isatty():
        yield _line_reporter()
        return
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            left = time_left(task.time_remaining, task.fields["seconds_left"])
            return Text(f"{left} left", style="progress.remaining")

    console = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[done]}", markup=False),
        TimeLeft(),
    )
    with Bars(*columns, TextColumn("{task.fields[detail]}", markup=False), console=console, transient=True) as bars:

        def report(update: Progress) -> None:
            if update.note:
                bars.console.print(plain(update.note), highlight=False, markup=False)
            if update.stage not in tasks:
                tasks[update.stage] = bars.add_task(plain(update.stage), done="", detail="", seconds_left=None)
            bars.update(
                tasks[update.stage],
                completed=update.done,
                total=update.total,
                done=_amount(update),
                detail=plain(update.detail),
                seconds_left=update.seconds_left,
            )
            if update.total is not None and update.done >= update.total:
                bars.remove_task(tasks.pop(update.stage))

        yield report


def _line_reporter() -> Reporter:
    last = time.monotonic()
    begun: dict[str, tuple[float, int]] = {}

    def report(update: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        since, at = begun.setdefault(update.stage, (now, update.done))
        if update.note:
            say(update.note)
        elif update.total is not None and at < update.done < update.total and now - last >= _LINE_SECONDS:
            left = time_left((now - since) * (update.total - update.done) / (update.done - at), update.seconds_left)
            say(", ".join(filter(None, [f"{update.stage}: {_amount(update)}", update.detail, f"{left} left"])))
        else:
            now = last
        last = now
        if update.total is not None and update.done >= update.total:
            del begun[update.stage]

    return report


def time_left(estimate: float | None, limit: float | None) -> str:
    """Return the remaining time as hours, minutes and seconds: the estimate or the time limit, whichever is shorter.

    Args:
        estimate: Estimated seconds until all is done; None if unknown.
        limit: Seconds until the time limit; None if there is none.
    """
    known = [seconds for seconds in (estimate, limit) if seconds is not None]
    if not known:
        return "-:--:--"
    minutes, seconds = divmod(int(min(known)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _amount(update: Progress) -> str:
    if update.total is None:
        return ""
    if update.unit == "bytes":
        return f"{update.done / 1e6:.1f}/{update.total / 1e6:.1f} MB"
    return f"{update.done:,}/{update.total:,}"


def size(count: int) -> str:
    """Return a number of bytes with a unit, such as `1.5 MB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.1f} GB"


def percent(part: float, whole: float, sign: str = "+") -> str:
    """Return `part / whole` in percent, with its sign; a dash if `whole` is 0."""
    return f"{part / whole:{sign}.1%}" if whole else "-"
