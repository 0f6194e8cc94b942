"""Killed while an adapter is trained, `train ranker` goes on when it is repeated, to the very bytes it would have had.

The process kills itself, by the signal that nothing can catch, at a moment that is told by what it has saved and not
by a clock.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.store.registry import Store

CONFIG = """
[lrurec]
width = 8
blocks = 1
max_length = 12

[training]
batch_size = 8
epochs = 6
validate_every = 6

[ranker]
batch_size = 2
max_examples = 12
warmup_steps = 1
validate_every = 2
validation_users = 2
curriculum_examples = 8
learning_rate = 1e-2
"""

# Saves as ever, but at one saving of one file the process dies: before that file is in its place, or right after.
KILLED = """
import os, signal, sys
from llamarec_cli.cli.app import main
from llamarec_cli.artefacts.training_state import TrainingStates

name, validations, when = sys.argv[1], int(sys.argv[2]), sys.argv[3]
del sys.argv[1:4]
save = TrainingStates.save

def dying(self, tensors, numbers):
    doomed = self._name.endswith(name) and len(numbers["validations"]) == validations
    if doomed and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, tensors, numbers)
    if doomed:
        os.kill(os.getpid(), signal.SIGKILL)

TrainingStates.save = dying
main()
"""


@pytest.fixture
def ready(tmp_path: Path, raw_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with data and a first stage."""
    home = tmp_path / "ready"
    (tmp_path / "c.toml").write_text(CONFIG)
    run(home, monkeypatch, "prepare", "ml-100k", "--source", str(raw_folder))
    run(home, monkeypatch, "train", "retriever", "--dataset", "ml-100k", "--config", str(tmp_path / "c.toml"))
    return home


def run(home: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setenv("LLAMAREC_HOME", str(home))
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stderr


def kill(home: Path, moment: tuple[str, int, str], *arguments: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, moment), *arguments],
        env={**os.environ, "LLAMAREC_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()


@pytest.mark.parametrize(
    ("negatives", "moment"),
    [
        ("random", ("tiny", 3, "after")),
        # Two steps, in the middle of the curriculum, are taken and not saved.
        ("mixed", ("tiny", 4, "before")),
    ],
)
def test_the_adapter_of_a_killed_training_has_the_same_bytes(
    ready: Path,
    tiny_base_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    negatives: str,
    moment: tuple[str, int, str],
) -> None:
    train = (
        "train",
        "ranker",
        "--dataset",
        "ml-100k",
        "--retriever",
        "ml-100k/lrurec",
        "--base",
        str(tiny_base_folder),
        "--name",
        "ml-100k/tiny",
    )
    train += ("--config", str(tmp_path / "c.toml"), "--negatives", negatives)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    shutil.copytree(ready, whole)
    shutil.copytree(ready, killed)
    run(whole, monkeypatch, *train)
    kill(killed, moment, *train)
    assert "ml-100k/tiny" not in Store(killed)
    assert "Going on with the interrupted training of ml-100k/tiny" in run(killed, monkeypatch, *train)

    expected, found = (Store(home).open("ml-100k/tiny") for home in (whole, killed))
    adapter = "adapter_model.safetensors"
    assert (found.path / adapter).read_bytes() == (expected.path / adapter).read_bytes()
    assert found.manifest.metrics["validation"] == expected.manifest.metrics["validation"]
    assert found.manifest.config["ranker"]["negatives"] == negatives
    assert found.manifest.metrics.get("cross_fitting") == expected.manifest.metrics.get("cross_fitting")
    assert ("cross_fitting" in found.manifest.metrics) == (negatives == "mixed")
    assert list((killed / "work").iterdir()) == []
