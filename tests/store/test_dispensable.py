"""What `store prune` may remove."""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store


def make(store: Store, name: str, replace: bool = False) -> None:
    manifest = Manifest(name, Kind.BASE_MODEL, config={}, parents={}, metrics={}, command="test")
    with store.stage(manifest, replace=replace) as folder:
        save_file({"a": np.zeros(1)}, folder / "model.safetensors")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_prune_removes_only_files_of_this_program(store: Store, home: Path) -> None:
    make(store, "games")
    ours = [
        home / "downloads" / "beauty-1" / "ratings_Beauty.csv",
        home / "downloads" / "beauty-2" / "meta_Beauty.json.gz.part",
        home / "downloads" / "recbole-1.2.1-py3-none-any.whl",
        home / "work" / "games--lrurec.safetensors",
        home / "work" / "games--sasrec.safetensors.unreadable",
    ]
    theirs = home / "work" / "tensors.safetensors"
    for file in (*ours, theirs):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("fetched")
    save_file({"a": np.zeros(1)}, theirs)
    save_file({"a": np.zeros(1)}, ours[3], metadata={"recipe": "{}", "numbers": "{}"})
    assert "work/games--lrurec.safetensors" in run("store", "prune", "--dry-run").stderr
    assert run("store", "prune", "--yes").exit_code == 0
    assert not [file for file in ours if file.exists()]
    assert theirs.is_file()
