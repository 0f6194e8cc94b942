import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llamarec_cli import __version__
from llamarec_cli.cli.app import app
from llamarec_cli.store.manifest import MANIFEST_FILE, Kind, Manifest
from llamarec_cli.store.registry import Store


def test_what_is_there_and_what_would_be_fetched(store: Store) -> None:
    with store.stage(Manifest("games", Kind.DATASET, config={}, parents={}, metrics={}, command="x")) as folder:
        (folder / "x.safetensors").write_bytes(b"1234")
    result = CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert found["versions"]["llamarec"] == __version__
    assert found["cached"] == {"dataset": [1, 4]}
    assert "games" not in found["to_fetch"]
    assert found["to_fetch"]["smollm2-135m"].startswith("93 MB")
    assert found["home_chosen_by"] == "LLAMAREC_HOME"
    assert "to fetch: beauty" in CliRunner().invoke(app, ["doctor"]).stdout


def test_what_is_wrong_is_said_and_told_by_the_exit_code(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.stage(Manifest("games", Kind.DATASET, config={}, parents={}, metrics={}, command="x")):
        pass
    (store.path_of("games") / MANIFEST_FILE).write_text("{")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "games is damaged: llamarec store remove games" in result.stderr


def test_a_home_that_is_not_there_yet_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMAREC_HOME", str(tmp_path / "not" / "yet"))
    assert json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["writable"]
    assert not (tmp_path / "not").exists()
