"""The scripts in `completions`, and what they complete, in real shells where they are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llamarec_cli.cli import complete
from llamarec_cli.cli.app import app
from llamarec_cli.data.catalogue import CATALOGUE
from llamarec_cli.language_model.catalogue import BASE_MODELS
from llamarec_cli.names import Quantization
from llamarec_cli.retrieval.registry import RETRIEVERS
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store
from llamarec_cli.strategies.registry import NO_MODEL, fusable_strategies

ROOT = Path(__file__).parents[2]
SCRIPTS = {"bash": "llamarec.bash", "zsh": "_llamarec", "fish": "llamarec.fish"}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_are_what_the_command_prints(shell: str) -> None:
    printed = CliRunner().invoke(app, ["completion", shell]).stdout
    assert (ROOT / "completions" / SCRIPTS[shell]).read_text() == printed, f"llamarec completion {shell}"


def test_lists_that_are_written_down_twice_agree() -> None:
    assert set(complete.strategies("")) == {NO_MODEL, *fusable_strategies()}
    assert set(complete.quantizations("")) == set(Quantization)
    assert set(complete.base_models("smol")) == set(BASE_MODELS)
    assert set(complete.datasets("")) >= set(CATALOGUE)


def test_retrievers_features_and_presets_complete() -> None:
    assert set(complete.retriever_models("")) == set(RETRIEVERS)
    assert complete.neural_retrievers("p") == []
    assert complete.features("t") == ["tfidf"]
    assert complete.retriever_presets("") == ["paper", "tuned"]


def test_options_of_a_training_complete() -> None:
    assert complete.presets("") == ["cpu", "paper"]
    assert complete.negatives("r") == ["random", "retriever"]
    assert complete.losses("le") == ["letters"]
    assert complete.repeats("") == ["consecutive", "drop", "keep"]


def make(store: Store, name: str, kind: Kind) -> None:
    with store.stage(Manifest(name, kind, config={}, parents={}, metrics={}, command="test")) as folder:
        (folder / "x.safetensors").write_bytes(b"")


@pytest.fixture
def environment(store: Store, tmp_path: Path) -> dict[str, str]:
    """A shell that finds `llamarec`, and a store with something in it."""
    make(store, "myshop", Kind.DATASET)
    make(store, "myshop/lrurec", Kind.RETRIEVER)
    command = tmp_path / "bin" / "llamarec"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m llamarec_cli "$@"\n')
    command.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }


WORDS = {
    "bash": """
source {script}
COMP_WORDS=({words}); COMP_CWORD={last}
_llamarec_completion llamarec
printf '%s\\n' "${{COMPREPLY[@]}}"
""",
    "zsh": """
autoload -Uz compinit; compinit -u
compdef() {{ }}; _arguments() {{ print -l -- "$@" }}; _describe() {{ print -l -- ${{(P)2}} }}; _files() {{ }}
source {script}
words=({words}); CURRENT={last_from_1}
_llamarec_completion
""",
    "fish": """
source {script}
complete --do-complete "{line}"
""",
}


@pytest.mark.parametrize("shell", SCRIPTS)
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["llamarec", "eval"], "evaluate"),
        (["llamarec", "train", "retriever", "--dataset", "my"], "myshop"),
        (["llamarec", "train", "ranker", "--dataset", "myshop", "--retriever", "my"], "myshop/lrurec"),
        (["llamarec", "train", "ranker", "--negatives", "ret"], "retriever"),
        (["llamarec", "store", "show", "myshop/"], "myshop/lrurec"),
    ],
)
def test_real_shells_complete(environment: dict[str, str], shell: str, typed: list[str], expected: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = WORDS[shell].format(
        script=ROOT / "completions" / SCRIPTS[shell],
        words=" ".join(typed),
        last=len(typed) - 1,
        last_from_1=len(typed),
        line=" ".join(typed),
    )
    result = subprocess.run([shell, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert expected in result.stdout, result.stderr


def test_a_store_that_cannot_be_read_completes_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLAMAREC_HOME", str(tmp_path / "file" / "home"))
    assert complete.artefacts("") == []
