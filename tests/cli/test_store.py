"""The verbs of `store`: confirmation, numbers, names given twice."""

import sys

import pytest
from artefact_makers import make, manifest_of
from typer.testing import CliRunner, Result

from llamarec_cli.cli import console
from llamarec_cli.cli.app import app
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store


class Terminal:
    """A standard input on which the user has typed an answer."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return f"{self.answer}\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["store", *arguments])


def answered(answer: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """Run a command at a terminal; the runner has put its own standard input in the place of the process's."""
    confirm = console.confirm

    def at_terminal(question: str) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", Terminal(answer))
            return confirm(question)

    monkeypatch.setattr(console, "confirm", at_terminal)
    monkeypatch.setattr("llamarec_cli.cli.store.sys", type("sys", (), {"stdin": Terminal(answer)}))
    return run(*arguments)


@pytest.mark.parametrize("answer", ["n", "", "nope"])
def test_a_declined_removal_removes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    make(store, "games")
    result = answered(answer, monkeypatch, "remove", "games")
    assert result.exit_code == 1
    assert result.stderr.endswith("Nothing was removed.\n")
    assert "games" in store


def test_a_confirmed_removal(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make(store, "games")
    assert answered("y", monkeypatch, "remove", "games").exit_code == 0
    assert "games" not in store


def test_without_a_terminal_nothing_is_removed(store: Store) -> None:
    make(store, "games")
    result = run("remove", "games")
    assert result.exit_code == 1
    assert "there is no terminal to ask for confirmation" in result.stderr
    assert "--yes" in result.stderr
    assert "games" in store


def test_a_name_given_twice_counts_once(store: Store) -> None:
    with store.stage(Manifest("base", Kind.BASE_MODEL, config={}, parents={}, metrics={}, command="x")) as folder:
        (folder / "config.json").write_text("{}")
    assert "1 artefact verified" in run("verify", "base", "base").stdout
    assert run("remove", "base", "base", "--dry-run").stderr.count("Would remove") == 1


def test_a_needed_artefact_is_not_removed_without_force(store: Store) -> None:
    make(store, "games")
    with store.stage(manifest_of("games/lrurec", parents={"games": "d"})) as folder:
        (folder / "model.safetensors").write_bytes(b"x")
    result = run("remove", "games", "--yes")
    assert "games is needed by games/lrurec" in result.stderr
    assert "Remove it first, or: llamarec store remove games --force" in result.stderr
    assert run("remove", "games", "games/lrurec", "--yes").exit_code == 0


def test_damaged_artefacts_are_counted(store: Store) -> None:
    make(store, "games")
    (store.path_of("games") / "model.safetensors").write_bytes(b"TENSORS")
    result = run("verify")
    assert result.exit_code == 1
    assert "the checksum of model.safetensors does not match its manifest" in result.stderr
    assert "1 of 1 artefact is damaged" in result.stderr
    assert "llamarec store remove games, then create it again." in result.stderr
