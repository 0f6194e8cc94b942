"""Interrupts during imports, in destructors, and when the shell ignores them."""

from pathlib import Path

import pytest
from command_lines import main_with, run_code

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
    done = run_code(DURING_IMPORTS.format(module=module) + main_with("store", "list"))
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("Interrupted.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rounds", [0, 3000])
def test_an_interrupt_in_a_destructor_is_not_lost(home: Path, rounds: int) -> None:
    done = run_code(IN_A_DESTRUCTOR.format(rounds=rounds) + main_with("store", "list"))
    assert done.returncode == 130
    assert "Interrupted." in done.stderr
    assert "Exception ignored" not in done.stderr


def test_interrupts_that_a_shell_ignores_stay_ignored(home: Path) -> None:
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    done = run_code(ignored + DURING_IMPORTS.format(module="typer") + main_with("store", "list", "--json"))
    assert (done.returncode, done.stdout) == (0, '{"artefacts": []}\n')
