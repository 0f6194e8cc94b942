"""Bad input: one sentence, a hint, exit 1 or 2, no traceback, nothing half-written."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.data.catalogue import RECBOLE_WHEEL
from llamarec_cli.store.registry import Store

HISTORY = str(Path(__file__).parents[1] / "samples" / "hist.json")


def fail(*arguments: str, stdin: str | None = None) -> Any:
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    return result


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (("recommend", "--history", "nowhere.json"), "There is no file nowhere.json", "give - to read"),
        (("recommend", "--history", "."), "cannot be read", "Give a JSON file"),
        (("prepare", "gmaes"), "did you mean games", "llamarec prepare"),
        (("prepare", "games", "--source", "nowhere"), "does not exist", "--source"),
        (("train", "retriever", "--dataset", "gmaes"), "did you mean games", "llamarec prepare"),
        (("train", "retriever", "--dataset", "games", "--seed", "-1"), "seed must be from 0", "--config"),
        (("train", "ranker", "--dataset", "games", "--base", "smollm2"), "did you mean smollm2-135m", "OWNER/MODEL"),
        (("train", "ranker", "--dataset", "games", "--quantize", "int3"), "no quantisation", "nf4"),
        (
            ("train", "ranker", "--dataset", "games", "--config", "nowhere.toml"),
            "nowhere.toml cannot be read",
            "--config",
        ),
        (("train", "ranker", "--dataset", "games", "--preset", "gpu"), "no preset called gpu", "paper"),
        (("train", "ranker", "--dataset", "games", "--loss", "letter"), "did you mean letters", "vocabulary"),
        (("train", "ranker", "--dataset", "games", "--negatives", "hard"), "no kind of negatives called hard", "mixed"),
        (("evaluate", "--dataset", "gmaes"), "did you mean games", "llamarec prepare"),
        (("recommend", "--history", HISTORY, "--dataset", "gmaes"), "did you mean games", "llamarec prepare"),
        (("recommend", "--history", HISTORY, "--dataset", "games"), "no ranker games/smollm2-135m", "train ranker"),
        (("store", "show", "games"), "The store holds no games", "llamarec store list"),
        (("store", "remove", "games"), "The store holds no games", "llamarec store list"),
        (("store", "show", "../x"), "is not a valid name", "llamarec store list"),
    ],
)
def test_a_mistake_is_one_sentence(home: Path, arguments: tuple[str, ...], sentence: str, hint: str) -> None:
    result = fail(*arguments)
    said, _, hinted = result.stderr.partition("  Try: ")
    assert said.startswith("Error: ")
    assert sentence in said
    assert hint in hinted
    assert not home.exists() or not list(home.rglob("*.safetensors"))


@pytest.mark.parametrize("history", ["[1, 2", "[]", "{}", '"x"', "[null]"])
def test_a_malformed_history_is_named(home: Path, history: str) -> None:
    result = fail("recommend", "--history", "-", stdin=history)
    assert result.stderr.startswith("Error: ")
    assert "Try: " in result.stderr


def test_a_history_in_which_nothing_is_known(raw_folder: Path, store_with_base: Store, trained: None) -> None:
    result = fail("recommend", "--history", "-", "--dataset", "ml-100k", stdin='["zzz", "yyy"]')
    assert "knows none of the 2 titles" in result.stderr


@pytest.fixture
def trained(raw_folder: Path, store_with_base: Store, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[training]\nepochs = 1\n[ranker]\nbatch_size = 2\nwarmup_steps = 1\nvalidation_users = 2\n")
    for arguments in (
        ("prepare", "ml-100k", "--source", str(raw_folder)),
        ("train", "retriever", "--dataset", "ml-100k", "--config", str(config)),
        (
            "train",
            "ranker",
            "--dataset",
            "ml-100k",
            "--retriever",
            "ml-100k/lrurec",
            "--config",
            str(config),
            "--max-examples",
            "2",
        ),
    ):
        assert CliRunner().invoke(app, list(arguments), catch_exceptions=False).exit_code == 0


def test_text_that_is_not_utf_8_is_named(home: Path) -> None:
    result = CliRunner().invoke(app, ["recommend", "--history", "-"], input=b'["\xff"]')
    assert result.exit_code == 1
    assert "is not text in UTF-8" in result.stderr


@pytest.mark.parametrize(("flag", "value"), [("--top", "0"), ("--top", "51"), ("--k", "51"), ("--k", "0")])
def test_numbers_out_of_range_are_usage_errors(home: Path, flag: str, value: str) -> None:
    result = fail("recommend", "--history", "-", flag, value, stdin='["x"]')
    assert result.exit_code == 2
    assert f"{flag} must be between" in result.stderr


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[training]\nepoch = 3\n", "did you mean epochs"),
        ("[training]\nepochs = 'three'\n", "epochs must be int"),
        ("[training]\nepochs = 0\n", "at least 1"),
        ("training = 3\n", "must be a table"),
        ("[training\n", "is not TOML"),
        ("[trainig]\nepochs = 3\n", "did you mean training"),
    ],
)
def test_a_wrong_configuration_is_named(raw_folder: Path, home: Path, tmp_path: Path, toml: str, sentence: str) -> None:
    CliRunner().invoke(app, ["prepare", "ml-100k", "--source", str(raw_folder)])
    config = tmp_path / "config.toml"
    config.write_text(toml)
    assert sentence in fail("train", "retriever", "--dataset", "ml-100k", "--config", str(config)).stderr


def test_a_home_that_cannot_be_written(raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file" / "home", Path("/proc/nowhere/home")):
        monkeypatch.setenv("LLAMAREC_HOME", str(home))
        result = fail("prepare", "ml-100k", "--source", str(raw_folder))
        assert "cannot be used" in result.stderr
        assert "LLAMAREC_HOME" in result.stderr


def test_a_corrupt_download_is_refused_and_nothing_is_kept(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / RECBOLE_WHEEL.wheel, "w") as wheel:
        info = f"recbole-{RECBOLE_WHEEL.version}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: recbole\nVersion: {RECBOLE_WHEEL.version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    result = fail("prepare", "ml-100k-1998")
    assert "is corrupt or not the pinned file" in result.stderr
    assert "--source" in result.stderr
    assert [path for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_bug_keeps_its_traceback(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("llamarec_cli.store.registry.Store.artefacts", crash)
    assert isinstance(CliRunner().invoke(app, ["store", "list"]).exception, ZeroDivisionError)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from llamarec_cli.cli.app import app\n"
        "try:\n    app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'rich', 'polars', 'numpy', 'peft'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "recommend" in done.stdout


def test_an_interrupted_training_says_so_and_goes_on(raw_folder: Path, home: Path, tmp_path: Path) -> None:
    CliRunner().invoke(app, ["prepare", "ml-100k", "--source", str(raw_folder)])
    config = tmp_path / "config.toml"
    config.write_text("[training]\nvalidate_every = 1\nepochs = 60\npatience = 1000000\n[lrurec]\nwidth = 8\n")
    command = [sys.executable, "-m", "llamarec_cli", "train", "retriever"]
    command += ["--dataset", "ml-100k", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "step 3:" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "Interrupted" in rest
    assert "Traceback" not in rest
    assert not (home / "artefacts" / "ml-100k--lrurec").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    assert "Going on with the interrupted training" in done.stderr
    assert "step 1:" not in done.stderr


def test_a_precision_that_would_change_nothing_is_refused(store_with_base: Store, trained: None) -> None:
    ranker = ("--dataset", "ml-100k", "--retriever", "ml-100k/lrurec", "--strategy", "signals", "--name", "ml-100k/s")
    assert CliRunner().invoke(app, ["train", "ranker", *ranker], catch_exceptions=False).exit_code == 0
    asked = ("--history", "-", "--dataset", "ml-100k", "--ranker", "ml-100k/s", "--precision", "fp32")
    result = fail("recommend", *asked, stdin='["Film 1"]')
    assert result.exit_code == 2
    assert "--precision would change nothing" in result.stderr
    assert "--no-fusion" in result.stderr
