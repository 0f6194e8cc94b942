"""`recommend`: engines appear by themselves, and an interrupt says how to continue."""

from pathlib import Path
from typing import Any

import pytest
from fake_recommender import Fake, FakeSpec, write_users
from toy_engine import Toy, open_toy
from typer.testing import CliRunner

from llamarec_cli.artefacts.context import Context
from llamarec_cli.cli import complete
from llamarec_cli.cli.app import app
from llamarec_cli.engines.registry import ENGINES, EngineRow
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.recommend import worker as worker_module
from llamarec_cli.pipeline.train.ranker import train as train_ranker
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest
from llamarec_cli.pipeline.train.retriever import train as train_retriever
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.store.registry import Store


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["recommend", *arguments])
    assert result.exit_code == code, result.stderr
    return result


def test_a_row_is_a_new_engine(
    raw_folder: Path, store_with_base: Store, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_dataset(context, "ml-100k", raw_folder)
    train_retriever(context, RetrieverRequest("ml-100k", model="popularity"))
    train_ranker(context, RankerRequest("ml-100k", strategy="signals", retriever="ml-100k/popularity"))
    monkeypatch.setitem(ENGINES, "toy", EngineRow("toy", open_toy))
    assert "local or toy" in " ".join(run("--help").stdout.split())
    assert complete.engines("t") == ["toy"]

    source = write_users(tmp_path / "users.jsonl", 100)
    asked = ("--dataset", "ml-100k", "--input", str(source), "--output")
    run(*asked, str(tmp_path / "local.jsonl"), code=1)  # items beyond the ring are unknown
    local = (tmp_path / "local.jsonl").read_bytes()
    run(*asked, str(tmp_path / "toy.jsonl"), "--engine", "toy", code=1)
    assert Toy.chunks == 2
    assert (tmp_path / "toy.jsonl").read_bytes() == local

    # Without a header, as an earlier version left it, torn in the second chunk.
    (tmp_path / "resumed.jsonl.partial").write_bytes(b"".join(local.splitlines(keepends=True)[:70]) + b'{"li')
    run(*asked, str(tmp_path / "resumed.jsonl"), "--engine", "toy", "--resume", code=1)
    assert Toy.chunks == 3
    assert (tmp_path / "resumed.jsonl").read_bytes() == local


def test_engines_are_for_files_of_users(home: Path, tmp_path: Path) -> None:
    assert "need --input" in run("--history", "-", "--engine", "local", code=2).stderr
    source = write_users(tmp_path / "users.jsonl", 1)
    wrong = run("--input", str(source), "--output", "-", "--engine", "lokal", code=2)
    assert "did you mean local" in wrong.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "Repeat the command with --resume to continue."),
        (("--replace",), "Repeat the command with --resume instead of --replace to continue."),
    ],
)
def test_an_interrupted_file_says_how_to_continue(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.setattr(worker_module, "RecommendSpec", lambda *_: FakeSpec(Fake(dies_at=3)))
    source, output = write_users(tmp_path / "users.jsonl"), tmp_path / "recs.jsonl"
    result = run("--input", str(source), "--output", str(output), *options, code=130)
    assert f"Interrupted. {sentence}" in result.stderr
    assert (tmp_path / "recs.jsonl.partial").read_text().count("\n") == 3


def test_other_interrupts_do_not_mention_resuming(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llamarec_cli.store.registry.Store.artefacts", interrupt)
    result = CliRunner().invoke(app, ["store", "list"])
    assert result.exit_code == 130
    assert "Interrupted. Repeat the command to continue." in result.stderr
    assert "--resume" not in result.stderr
