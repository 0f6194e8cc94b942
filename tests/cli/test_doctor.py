"""What `doctor` prints, and its exit code."""

import json

from artefact_makers import make
from typer.testing import CliRunner

from llamarec_cli import __version__
from llamarec_cli.cli.app import app
from llamarec_cli.store.manifest import MANIFEST_FILE
from llamarec_cli.store.registry import Store


def test_json_and_table(store: Store) -> None:
    make(store, "games")
    found = json.loads(CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False).stdout)
    assert found["versions"]["llamarec"] == __version__
    assert found["cached"] == {"retriever": [1, 7]}
    shown = CliRunner().invoke(app, ["doctor"]).stdout
    for part in ("property", "value", "to fetch: beauty", "1 artefact, 7 B"):
        assert part in shown


def test_a_problem_is_a_warning_and_exit_code_1(store: Store) -> None:
    make(store, "games")
    (store.path_of("games") / MANIFEST_FILE).write_text("{")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "Warning: games is damaged: llamarec store remove games" in result.stderr
