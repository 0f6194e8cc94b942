"""Two processes train one adapter to what one process makes of it."""

import os
import shutil
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.store.registry import Store

# Without dropout, which falls otherwise in each process, and in float32.
CONFIG = """
[lrurec]
width = 8
blocks = 1
max_length = 12

[training]
batch_size = 8
epochs = 4
validate_every = 8

[ranker]
batch_size = 3
max_examples = 10
lora_dropout = 0.0
warmup_steps = 1
validate_every = 2
validation_users = 3
curriculum_examples = 6
"""
IN_FLOAT32 = """
import torch
from llamarec_cli.cli.app import main
from llamarec_cli.language_model import base_models
base_models.compute_dtype = lambda device: torch.float32
main()
"""


def variables(home: Path, rank: int, port: int) -> dict[str, str]:
    """What `accelerate launch` and `torchrun` set."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    return {"LLAMAREC_HOME": str(home), "MASTER_ADDR": "127.0.0.1"} | {
        key: str(value) for key, value in numbers.items()
    }


def run(arguments: tuple[str, ...], variables: dict[str, str]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_two_processes_make_the_adapter_that_one_makes(
    raw_folder: Path, tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamarec_cli.language_model.base_models.compute_dtype", lambda _: torch.float32)
    # Should the other process fail, this one is not to wait for it forever.
    monkeypatch.setattr("llamarec_cli.strategies.worker_group._TIMEOUT", timedelta(minutes=3))
    (tmp_path / "c.toml").write_text(CONFIG)
    alone, together = tmp_path / "alone", tmp_path / "together"
    run(("prepare", "ml-100k", "--source", str(raw_folder)), {"LLAMAREC_HOME": str(alone)})
    shutil.copytree(alone, together)
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
    train += ("--config", str(tmp_path / "c.toml"), "--negatives", "mixed")
    run(train, {"LLAMAREC_HOME": str(alone)})

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    other = subprocess.Popen(
        [sys.executable, "-c", IN_FLOAT32, *train],
        env={**os.environ, **variables(together, 1, port), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        # The main process finds no retriever, and trains it and both halves' while the other one waits.
        assert "ml-100k/tiny" in run(train, variables(together, 0, port))
        said, complained = other.communicate(timeout=180)
    finally:
        other.kill()
    assert other.returncode == 0, complained.decode()
    assert said == b""

    expected, made = (Store(home).open("ml-100k/tiny") for home in (alone, together))
    losses = [[one["loss"] for one in artefact.manifest.metrics["validation"]] for artefact in (expected, made)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    weights = load_file(made.path / "adapter_model.safetensors")
    for name, tensor in load_file(expected.path / "adapter_model.safetensors").items():
        assert torch.allclose(weights[name], tensor, rtol=1e-3, atol=1e-6), name
    assert list((together / "work").iterdir()) == []
