"""What the bars show."""

import io

import pytest

from llamarec_cli.cli import console
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
    assert "0:01:01" in shown
    assert "800 tokens a second" in shown
