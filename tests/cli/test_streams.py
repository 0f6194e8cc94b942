"""Standard streams that fail, are closed, or lack characters."""

from pathlib import Path

import pytest
from command_lines import main_with, run_code


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("store", "list", "--json")])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_an_output_that_cannot_be_written_is_an_error(home: Path, arguments: tuple[str, ...], redirection: str) -> None:
    done = run_code(main_with(*arguments), redirection)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The standard output cannot be written (")
    assert done.stderr.count("\n") == 2, done.stderr


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>/dev/full <&-", "2>&- <&- "])
def test_messages_that_cannot_be_written_are_dropped(home: Path, redirection: str) -> None:
    assert run_code(main_with("store", "list", "--json"), redirection).stdout == '{"artefacts": []}\n'
    assert run_code(main_with("store", "show", "nothing"), redirection).returncode == 1
    assert run_code(main_with("recommend", "--history", "-"), "<&- " + redirection).returncode == 1


SHOW = """
from llamarec_cli.cli import console, streams
streams.prepare_streams()
console.print_table("Amélie", ["title"], [["שלום, é, 映画"]])
console.print_lines("é", "\\udce9")
console.say("é שלום")
"""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_characters_that_an_encoding_lacks_are_replaced(encoding: str) -> None:
    done = run_code(SHOW, PYTHONIOENCODING=encoding)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert ("שלום" in done.stdout) == (encoding == "utf-8")
    assert ("?" in done.stdout) == (encoding != "utf-8")
