"""`llamarec evaluate` on models trained on a ring of items."""

from pathlib import Path

import pytest
from command_lines import as_json, run

CONFIG = """
[lrurec]
width = 16
blocks = 1
max_length = 12

[ensemble]
retrievers = ["lrurec"]

[training]
batch_size = 16
epochs = 10
validate_every = 20
learning_rate = 0.01
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return str(path)


def test_retrievers_side_by_side(raw_folder: Path, home: Path, config: str, tmp_path: Path) -> None:
    run("prepare", "ml-100k", "--source", str(raw_folder))
    for model in ("lrurec", "sasrec"):
        run("train", "retriever", "--dataset", "ml-100k", "--model", model, "--config", config)
    evaluated = as_json("evaluate", "--dataset", "ml-100k", "--compare", "sasrec", "--compare", "lrurec")
    assert set(evaluated["models"]) == {"lrurec", "sasrec"}
    differences = evaluated["comparison"]["differences"]
    for metric, found in differences.items():
        expected = evaluated["models"]["sasrec"]["all"][metric] - evaluated["models"]["lrurec"]["all"][metric]
        assert found["mean"] == pytest.approx(expected)
        assert found["low"] <= found["mean"] <= found["high"]
    run("evaluate", "--dataset", "ml-100k", "--output", str(tmp_path / "table.md"))
    assert "0.0993" in (tmp_path / "table.md").read_text()
    assert (
        "did you mean sasrec"
        in run("evaluate", "--dataset", "ml-100k", "--compare", "sasrek", "--compare", "lrurec", code=2).stderr
    )
    run("evaluate", "--dataset", "ml-100k", "--output", str(tmp_path / "table.pdf"), code=2)


def test_runs_that_differ_only_in_their_seed_share_a_column(raw_folder: Path, home: Path, config: str) -> None:
    run("prepare", "ml-100k", "--source", str(raw_folder))
    train = ("train", "retriever", "--dataset", "ml-100k", "--config", config)
    run(*train)
    for seed in ("1", "2"):
        run(*train, "--seed", seed, "--name", f"ml-100k/lrurec-seed-{seed}")
    run(*train, "--preset", "paper", "--name", "ml-100k/lrurec-paper")
    run("train", "retriever", "--dataset", "ml-100k", "--model", "popularity")
    run("train", "retriever", "--dataset", "ml-100k", "--model", "ensemble", "--config", config)
    evaluated = as_json("evaluate", "--dataset", "ml-100k")
    runs = {model: len(of_model["runs"]) for model, of_model in evaluated["models"].items()}
    assert runs == {"lrurec": 3, "lrurec-paper": 1, "popularity": 1, "ensemble": 1}
    assert evaluated["merged"] == {"lrurec": ["ml-100k/lrurec", "ml-100k/lrurec-seed-1", "ml-100k/lrurec-seed-2"]}
    run(
        "train",
        "retriever",
        "--dataset",
        "ml-100k",
        "--model",
        "ensemble",
        "--name",
        "ml-100k/second",
        "--config",
        config,
    )
    run(*train, "--name", "mine/lrurec", "--seed", "9", "--max-minutes", "0")
    columns = as_json("evaluate", "--dataset", "ml-100k")["models"]
    assert {"lrurec", "ensemble", "second", "mine/lrurec"} <= set(columns)
    assert " ± " in run("evaluate", "--dataset", "ml-100k").stdout
    result = run("evaluate", "--dataset", "ml-100k", "--output", str(home / "nowhere" / "t.md"), code=1)
    assert "no folder" in result.stderr


def test_options_that_exclude_each_other(home: Path) -> None:
    evaluate = ("evaluate", "--dataset", "ml-100k")
    strategy = ("--strategy", "pointwise")
    assert "cannot be used with --strategy" in run(*evaluate, *strategy, "--output", "x.md", code=2).stderr
    for wrong in (("--precision", "fp32"), ("--sample", "3")):
        assert "need --strategy" in run(*evaluate, *wrong, code=2).stderr
    assert "takes two models" in run(*evaluate, "--compare", "lrurec", code=2).stderr
    assert "did you mean pointwise" in run(*evaluate, "--strategy", "pointwis", code=2).stderr
