"""Whatever the file system refuses, wherever it is met, is one sentence; outputs are checked before the work."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import save_file
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.failures import file_failure, file_failures
from llamarec_cli.store.home import FOLDERS, claim_home
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store


def fail(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    assert "Error: " in result.stderr
    return str(result.stderr)


@pytest.mark.parametrize("name", sorted(FOLDERS))
@pytest.mark.parametrize("kind", ["file", "dangling link", "ring of links", "pipe"])
@pytest.mark.parametrize(
    "command", [("store", "list"), ("prepare", "games", "--source", "."), ("doctor",)], ids=" ".join
)
def test_a_part_of_the_home_that_is_no_folder(home: Path, command: tuple[str, ...], name: str, kind: str) -> None:
    claim_home(home)
    match kind:
        case "file":
            (home / name).write_text("")
        case "dangling link":
            (home / name).symlink_to(home / "nowhere")
        case "ring of links":
            (home / name).symlink_to(home / name)
        case "pipe":
            os.mkfifo(home / name)
    assert f"The home {home} cannot be used ({name} in it is not a folder)" in fail(*command)


@pytest.mark.parametrize(
    ("home", "sentence"),
    [
        ("x" * 300, "File name too long"),
        ("y/" * 3000, "File name too long"),
        ("~nosuchuser/home", "a user who does not exist"),
        ("bad\udcff\ud800", "cannot be"),
        ("/dev/full/home", "Not a directory"),
        ("/dev/null", "it is not a folder"),
        ("/proc/nowhere", "no folder can be created there"),
    ],
)
@pytest.mark.parametrize("command", [("store", "list"), ("prepare", "ml-100k", "--source")], ids=" ".join)
def test_a_home_that_cannot_be(
    raw_folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], home: str, sentence: str
) -> None:
    class Environment(dict[str, str]):
        pass

    # The system would not take every one of them as a variable.
    monkeypatch.setattr("llamarec_cli.store.home.os.environ", Environment(os.environ) | {"LLAMAREC_HOME": home})
    if command[0] == "prepare":
        assert sentence in fail(*command, str(raw_folder))
    else:
        result = CliRunner().invoke(app, list(command))
        assert isinstance(result.exception, SystemExit | None)
        assert result.exit_code == 0 or sentence in result.stderr


def refuse(number: int) -> None:
    raise OSError(number, os.strerror(number))


FAILURES = [
    (lambda: refuse(errno.ENOSPC), "disk is full"),
    (lambda: refuse(errno.EDQUOT), "disk is full"),
    (lambda: refuse(errno.EFBIG), "larger than a file may be"),
    (lambda: refuse(errno.EIO), "Input/output error"),
    (lambda: Path("/nowhere/x").read_text(), "/nowhere/x cannot be used"),
    (lambda: Path("x" * 300).stat(), "File name too long"),
    (lambda: Path("a\0b").stat(), "NUL character"),
    (lambda: Path("\ud800").stat(), "cannot be the name of a file"),
    (lambda: Path("~nosuchuser").expanduser(), "a user who does not exist"),
    (lambda: save_file({"a": np.zeros(3)}, "/nowhere/x"), "No such file or directory"),
    (lambda: pl.scan_csv("/nowhere.csv").collect(), "No such file or directory"),
    (lambda: shutil.copytree("/proc/self/fdinfo", "/dev/full/x"), "Not a directory"),
]


@pytest.mark.parametrize(("act", "sentence"), FAILURES, ids=[sentence for _, sentence in FAILURES])
def test_whoever_met_it_says_it_in_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, act: Any, sentence: str
) -> None:
    with pytest.raises(LlamaRecError, match=sentence), file_failures("/somewhere", "Give another."):
        act()
    # So too where nobody waits for it.
    monkeypatch.setattr("llamarec_cli.store.registry.Store.artefacts", lambda _: act())
    assert sentence in fail("store", "list")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("embedded"),
        RuntimeError("CUDA"),
        OSError("no file named pytorch_model.bin"),
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        KeyError("x"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "surrogates"),
    ],
)
def test_what_is_about_no_file_is_not_taken_for_it(error: Exception) -> None:
    assert file_failure(error) is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("folder.md", "is a folder"),
        ("pipe.md", "is not a regular file"),
        ("nowhere/x.md", "There is no folder"),
        ("file.txt/x.md", "There is no folder"),
        ("/dev/full/x.md", "There is no folder"),
        ("x" * 300 + ".md", "File name too long"),
        ("a\0b.md", "embedded null byte"),
        ("\ud800.md", "surrogates not allowed"),
    ],
)
def test_an_output_that_cannot_be_is_told_before_the_work(home: Path, tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "file.txt").write_text("")
    os.mkfifo(tmp_path / "pipe.md")
    place = str(tmp_path / name)
    assert sentence in fail("evaluate", "--dataset", "games", "--output", place)
    svg = place.removesuffix(".md") + ".svg"
    for kind in ("folder", "pipe"):
        (tmp_path / f"{kind}.md").rename(tmp_path / f"{kind}.svg")
    assert sentence in fail("bench", "latency", "--plot", svg)


LIMITED = """
import resource, sys
from llamarec_cli.cli.app import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
main()
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no such limit here")
def test_a_limit_of_file_size_is_a_sentence_and_leaves_what_was(raw_folder: Path, home: Path) -> None:
    assert CliRunner().invoke(app, ["prepare", "ml-100k", "--source", str(raw_folder)]).exit_code == 0
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "train", "retriever", "--dataset", "ml-100k", "--model", "popularity"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "LLAMAREC_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "would be larger than a file may be here" in done.stderr
    assert [one.manifest.name for one in Store(home).artefacts()] == ["ml-100k"]
    assert not list((home / "staging").iterdir())


def limited(work: Callable[[], Any]) -> str:
    """Do some work in a process whose files may have a thousand bytes, and return what it says of that."""
    read, write = os.pipe()
    if not os.fork():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            work()
            os.write(write, b"done")
        except LlamaRecError as error:
            os.write(write, error.sentence.encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        return told.read()


def test_a_limit_of_file_size_is_the_same_sentence_whoever_wrote(store: Store, tmp_path: Path) -> None:
    from llamarec_cli.artefacts.context import Context
    from llamarec_cli.artefacts.training_state import TrainingStates
    from llamarec_cli.store.archive import export_archive, import_archive, lineage

    def staged(name: str) -> None:
        with store.stage(Manifest(name, Kind.DATASET, config={}, parents={}, metrics={}, command="x")) as folder:
            save_file({"a": np.random.default_rng(0).random(1000)}, folder / "x.safetensors")

    staged("games")
    archive, other = tmp_path / "games.tar.zst", tmp_path / "other"
    export_archive(lineage(store, "games"), archive)
    states = TrainingStates(Context(store, "test"), "games/lrurec", {})
    works: dict[str, Callable[[], Any]] = {
        "staged": lambda: staged("beauty"),
        "saved": lambda: states.save({"a": torch.zeros(1000)}, {}),
        "exported": lambda: export_archive(lineage(store, "games"), tmp_path / "x.tar.zst"),
        "imported": lambda: import_archive(Store(other), archive),
    }
    for work in works.values():
        assert "could not be written: it would be larger than a file may be here." in limited(work)
    assert [one.manifest.name for one in store.artefacts()] == ["games"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["games.tar.zst", "home", "other"]
    for home in (store.home, other):
        assert not list((home / "staging").iterdir())
        assert not (home / "work").exists() or not list((home / "work").iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bench", "latency", "--lengths", "²"), "--lengths must be whole numbers"),
        (("bench", "latency", "--lengths", "٣"), "--lengths must be whole numbers"),
        (("bench", "latency", "--lengths", "5,,6"), "--lengths must be whole numbers"),
        (("bench", "latency", "--lengths", "0"), "--lengths must be whole numbers"),
        (("bench", "latency", "--lengths", "99999999999999999999"), "--lengths must be whole numbers"),
        (("bench", "latency", "--lengths", "9" * 5000), "--lengths must be whole numbers"),
        (("bench", "latency", "--repeats", "²"), "--repeats"),
        (("bench", "latency", "--repeats", "99999999999999999999"), "--repeats must be between"),
        (("bench", "retriever", "--steps", "99999999999999999999"), "--steps must be between"),
        (("train", "retriever", "--dataset", "games", "--seed", "99999999999999999999"), "--seed must be between"),
        (("train", "retriever", "--dataset", "games", "--seed", "-99999999999999999999"), "--seed must be between"),
        (("train", "retriever", "--dataset", "games", "--max-minutes", "nan"), "--max-minutes"),
        (("train", "retriever", "--dataset", "games", "--max-minutes", "inf"), "must be a finite number"),
        (("train", "ranker", "--dataset", "games", "--k", "99999999999999999999"), "--k must be between"),
        (("recommend", "--history", "-", "--top", "99999999999999999999"), "--top must be between"),
        (("evaluate", "--dataset", "games", "--strategy", "pointwise", "--sample", "9" * 30), "--sample must be"),
        (("prepare", "x", "--interactions", "x", "--min-count", "9" * 30), "--min-count must be between"),
        (("prepare", "x", "--interactions", "x", "--min-rating", "nan"), "--min-rating must be a finite"),
    ],
)
def test_odd_numbers_are_refused(home: Path, arguments: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not home.exists()


def make(store: Store, name: str) -> None:
    with store.stage(Manifest(name, Kind.DATASET, config={}, parents={}, metrics={}, command="x")) as folder:
        (folder / "x.safetensors").write_bytes(b"1234")


@pytest.mark.parametrize(
    ("place", "sentence"),
    [("x" * 5000, "File name too long"), ("/dev/null", "no file"), ("a\0b", "embedded null byte")],
)
def test_an_archive_that_cannot_be_read(home: Path, place: str, sentence: str) -> None:
    assert sentence in fail("store", "import", place)


def test_json_of_a_home_with_odd_files_is_still_json(store: Store) -> None:
    make(store, "games")
    (store.home / "artefacts" / "\udcff").mkdir()
    (store.home / "artefacts" / "\udcff" / "manifest.json").write_text("{")
    result = CliRunner().invoke(app, ["store", "list", "--json"])
    assert [one["name"] for one in json.loads(result.stdout)["artefacts"]] == ["games"]
