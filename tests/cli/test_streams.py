"""Output that fails, is closed or has another encoding, and interrupts wherever they fall."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llamarec_cli.cli import console

ROOT = str(Path(__file__).parents[2])


def run(code: str, redirection: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a shell that may redirect its streams."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, code],
        env={**os.environ, "PYTHONPATH": ROOT, **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
        check=False,
    )


def command(*arguments: str) -> str:
    return f"import sys; sys.argv = ['llamarec', *{arguments!r}]; from llamarec_cli.__main__ import main; main()"


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("store", "list", "--json")])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_an_output_that_cannot_be_written_is_a_sentence(
    home: Path, arguments: tuple[str, ...], redirection: str
) -> None:
    done = run(command(*arguments), redirection)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The standard output cannot be written (")
    assert done.stderr.count("\n") == 2, done.stderr


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>/dev/full <&-", "2>&- <&- "])
def test_messages_that_nobody_can_read_change_nothing(home: Path, redirection: str) -> None:
    assert run(command("store", "list", "--json"), redirection).stdout == '{"artefacts": []}\n'
    assert run(command("store", "show", "nothing"), redirection).returncode == 1
    assert run(command("recommend", "--history", "-"), "<&- " + redirection).returncode == 1


SHOW = """
from llamarec_cli.cli import console, streams
streams.prepare_streams()
console.print_table("Amélie", ["title"], [["שלום, é, 映画"]])
console.print_lines("é", "\\udce9")
console.say("é שלום")
"""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_characters_that_an_encoding_lacks_are_replaced(encoding: str) -> None:
    done = run(SHOW, PYTHONIOENCODING=encoding)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert ("שלום" in done.stdout) == (encoding == "utf-8")
    assert ("?" in done.stdout) == (encoding != "utf-8")


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


DURING_IMPORTS = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
"""
IN_A_DESTRUCTOR = """
import signal, time
from llamarec_cli.store.registry import Store
class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
def artefacts(self):
    Interrupted()
    for _ in range({rounds}):
        time.sleep(0.01)
    return []
Store.artefacts = artefacts
"""


@pytest.mark.parametrize("module", ["typer", "llamarec_cli.cli.app", "llamarec_cli.store.registry"])
def test_an_interrupt_while_modules_are_imported_leaves_no_traceback(home: Path, module: str) -> None:
    done = run(DURING_IMPORTS.format(module=module) + command("store", "list"))
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("Interrupted.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rounds", [0, 3000])
def test_an_interrupt_in_a_destructor_is_not_lost(home: Path, rounds: int) -> None:
    done = run(IN_A_DESTRUCTOR.format(rounds=rounds) + command("store", "list"))
    assert done.returncode == 130
    assert "Interrupted." in done.stderr
    assert "Exception ignored" not in done.stderr


def test_interrupts_that_a_shell_ignores_stay_ignored(home: Path) -> None:
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    done = run(ignored + DURING_IMPORTS.format(module="typer") + command("store", "list", "--json"))
    assert (done.returncode, done.stdout) == (0, '{"artefacts": []}\n')
