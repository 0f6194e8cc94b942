"""Progress, JSON, and removal of terminal control characters."""

import io
import json

import pytest

from llamarec_cli.cli import console
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress


@pytest.mark.parametrize(
    ("estimate", "limit", "shown"),
    [
        (None, None, "-:--:--"),
        (75.9, None, "0:01:15"),
        (None, 30.0, "0:00:30"),
        (7300.0, 90.0, "0:01:30"),
        (40.0, 90.0, "0:00:40"),
    ],
)
def test_the_time_left_is_the_shorter_of_work_and_limit(
    estimate: float | None, limit: float | None, shown: str
) -> None:
    assert console.time_left(estimate, limit) == shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_amount_detail_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    with console.progress() as report:
        report(Progress("train ranker", 3, 1_000, "loss 1.234, 800 tokens a second", seconds_left=61.0))
    shown = terminal.getvalue()
    assert "3/1,000" in shown
    assert "0:01:01 left" in shown
    assert "800 tokens a second" in shown


def test_where_there_is_no_terminal_a_line_a_minute_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    with console.progress() as report:
        for done in range(0, 101):
            now = 10.0 * done
            report(Progress("rank", done, 1_000, "2 errors"))
        report(Progress("train", 1, 10, note="step 1: loss 3"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "rank: 6/1,000, 2 errors, 2:45:40 left"
    assert len(lines) == 16 + 1
    assert lines[-1] == "step 1: loss 3"


def test_bytes_are_shown_in_megabytes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    with console.progress() as report:
        for done in (1, 2):
            now = 60.0 * done
            report(Progress("Fetching games", done * 500_000, 10_000_000, unit="bytes"))
    assert capsys.readouterr().err == "Fetching games: 1.0/10.0 MB, 0:18:00 left\n"


def test_a_stage_that_comes_again_starts_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    with console.progress() as report:
        for begin in (0.0, 10_000.0):
            for done in range(1, 11):
                now = begin + 30.0 * done
                report(Progress("validate", done, 10))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "validate: 2/10, 0:04:00 left"
    assert lines[-1] == "validate: 8/10, 0:01:00 left"
    assert all(line.endswith(("30 left", "00 left")) for line in lines)


STEERING = "a\x1b[2Jb\x9b1mc\x07d\u202ee\rf\ng\u2028h"
HARMLESS = "a[2Jb1mcde f g h"


def test_what_steers_a_terminal_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.plain(STEERING) == HARMLESS
    assert console.plain("Amélie – 千と千尋 [rec]²") == "Amélie – 千と千尋 [rec]²"
    console.print_lines(STEERING)
    console.print_table(STEERING, [STEERING], [[STEERING]])
    console.say(STEERING)
    console.warn(STEERING)
    console.show_error(LlamaRecError(STEERING, STEERING))
    with console.progress() as report:
        report(Progress("train", note=STEERING))
    shown = capsys.readouterr()
    assert shown.out.count(HARMLESS) == 4
    assert shown.err.count(HARMLESS) == 5
    assert all(one.isprintable() or one == "\n" for one in shown.out + shown.err)


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"recall": float("nan"), "all": [float("inf"), 1.0], "title": "é\x1b"})
    shown = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert shown == {"recall": None, "all": [None, 1.0], "title": "é\x1b"}


def test_nothing_foreign_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table("a\x1b[2J", ["b"], [["c\x1b]0;x\x07"], ["d\x9b1m"]])
    console.print_lines("e\x1b[31m", "tab\tand\nline")
    console.say("f\x1b[0m\r")
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert not {"\x1b", "\x07", "\x9b", "\r"} & set(text)
    assert "tab and line" in shown.out
