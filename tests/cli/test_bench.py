"""The bench commands on fakes: JSON, tables and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import write_ring
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.store.registry import Store


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.stderr
    return result


def as_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_bench_latency(store_with_base: Store, tmp_path: Path) -> None:
    bench = ("bench", "latency", "--lengths", "1,2", "--repeats", "1", "--strategies")
    figure = tmp_path / "figure.svg"
    measured = as_json(*bench, "verbalizer,generate-letters,generate-titles", "--plot", str(figure))
    assert [(point["title_length"], point["strategy"]) for point in measured["points"]] == [
        (length, strategy) for length in (1, 2) for strategy in ("verbalizer", "generate-letters", "generate-titles")
    ]
    assert all(point["median_seconds"] > 0 for point in measured["points"])
    assert measured["environment"]["precision"] in ("bfloat16", "float32")
    assert "<svg" in figure.read_text()
    assert "tokens a title" in run(*bench, "verbalizer").stdout
    run(*bench, "verbalizer", "--architecture", "llama-2-70b", code=2)
    run(*bench, "verbalizer", "--architecture", "llama-2-7b", "--precision", "nf4", code=2)
    run(*bench, "generate", code=2)
    run("bench", "latency", "--lengths", "five", code=2)
    run("bench", "latency", "--plot", "figure.pdf", code=2)
    run("bench", "latency", "--plot", str(tmp_path / "nowhere" / "figure.svg"), code=1)


def test_bench_retriever(raw_folder: Path, home: Path) -> None:
    run("prepare", "ml-100k", "--source", str(raw_folder))
    measured = as_json("bench", "retriever", "--dataset", "ml-100k", "--steps", "2")
    assert measured["users"] == 60
    assert measured["step_ms"] > 0
    assert measured["machine"]["float32_gflops"] > 0
    assert "a second" in run("bench", "retriever", "--dataset", "ml-100k", "--steps", "1").stdout
    run("bench", "retriever", "--dataset", "ml-100k", "--model", "popularity", code=2)


def test_bench_throughput(tmp_path: Path, store_with_base: Store) -> None:
    raw = write_ring(tmp_path / "long", items=70, users=10, length=30)
    run("prepare", "ml-100k", "--source", str(raw))
    measured = as_json("bench", "throughput", "--dataset", "ml-100k", "--users", "3", "--rounds", "1")
    assert measured["users"] == 3
    assert measured["prompt_tokens"] > 20 * len("Film")
    assert min(measured[name] for name in ("engine_ms", "again_ms", "official_ms", "gflops", "machine_gflops")) > 0
    assert measured["users_per_second"] == pytest.approx(1000 / measured["engine_ms"])
    shown = run("bench", "throughput", "--dataset", "ml-100k", "--users", "3", "--rounds", "1", "--no-official").stdout
    assert "official" not in shown
    assert "of the machine's" in shown.replace("\n", " ")
    run("bench", "throughput", "--dataset", "ml-100k", "--users", "11", code=1)
    run("bench", "throughput", "--dataset", "ml-100k", "--precision", "bf17", code=2)
