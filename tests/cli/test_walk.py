"""The whole path on fakes: prepare, train both stages, recommend, evaluate, look into the store."""

import json
from pathlib import Path

import pytest
from command_lines import as_json, run
from fakes import write_ring

from llamarec_cli.store.registry import Store

CONFIG = """
[lrurec]
width = 16
blocks = 1
dropout = 0.1
max_length = 12

[ensemble]
retrievers = ["lrurec"]

[training]
batch_size = 16
epochs = 10
validate_every = 20
learning_rate = 0.01

[ranker]
batch_size = 4
warmup_steps = 1
validate_every = 2
validation_users = 5
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return str(path)


def test_the_whole_path(raw_folder: Path, store_with_base: Store, config: str, tmp_path: Path) -> None:
    prepared = as_json("prepare", "ml-100k", "--source", str(raw_folder))
    assert prepared == {
        "dataset": "ml-100k",
        "users": 60,
        "items": 40,
        "interactions": 720,
        "mean_length": 12.0,
        "density": 0.3,
    }

    run("evaluate", "--dataset", "ml-100k", code=1)
    trained = as_json("train", "retriever", "--dataset", "ml-100k", "--config", config)
    assert trained["name"] == "ml-100k/lrurec"
    assert trained["test"]["recall@10"] > 0.5

    ranker = as_json(
        "train",
        "ranker",
        "--dataset",
        "ml-100k",
        "--retriever",
        "ml-100k/lrurec",
        "--config",
        config,
        "--max-examples",
        "16",
    )
    assert ranker["name"] == "ml-100k/smollm2-135m"
    assert ranker["examples"] == 16
    assert ranker["fusion"]["chosen"] in ranker["fusion"]["groups"]
    assert set(ranker["fusion"]["groups"]) == {
        "retriever",
        "verbalizer",
        "retriever + signals",
        "retriever + verbalizer",
        "all",
    }

    history = tmp_path / "hist.json"
    history.write_text(json.dumps(["film 05", "The Film 06 (1956)", "7", "No Such Film"]))
    result = run("recommend", "--history", str(history), "--dataset", "ml-100k", "--top", "20", "--json")
    ranked = json.loads(result.stdout)
    assert ranked["dataset"] == "ml-100k"
    assert [item["rank"] for item in ranked["items"]] == list(range(1, 21))
    assert 0 < sum(item["probability"] for item in ranked["items"]) <= 1 + 1e-6
    assert not {"5", "6", "7"} & {item["id"] for item in ranked["items"]}
    assert ranked["unknown"] == ["No Such Film"]
    assert "'No Such Film' is not known" in result.stderr

    alone = as_json("recommend", "--history", "-", "--dataset", "ml-100k", "--no-fusion", stdin='["film 05"]')
    assert len(alone["items"]) == 10
    probabilities = [item["probability"] for item in alone["items"]]
    assert probabilities == sorted(probabilities, reverse=True)

    users = tmp_path / "users.jsonl"
    users.write_text('["film 05"]\n{"user": "u", "history": ["No Such Film"]}\n')
    many = ("recommend", "--dataset", "ml-100k", "--input", str(users), "--top", "3")
    lists = [json.loads(line) for line in run(*many, "--output", "-", code=1).stdout.splitlines()]
    assert [len(record.get("items", ())) for record in lists] == [3, 0]
    assert "knows none of the 1 titles" in lists[1]["error"]
    run(*many, code=2)

    evaluated = as_json("evaluate", "--dataset", "ml-100k")
    assert evaluated["users"] == 60
    assert set(evaluated["models"]) == {"lrurec", "verbalizer", "llamarec"}
    share = evaluated["valid_users"] / evaluated["users"]
    # Users whose item the retriever did not put among the candidates of a language model gain nothing from its order.
    for metric, figure in evaluated["models"]["lrurec"]["all"].items():
        assert figure == pytest.approx(evaluated["models"]["lrurec"]["valid"][metric] * share)

    assert evaluated["comparison"]["one"] == "llamarec"
    ablation = evaluated["ablation"]
    assert ablation["chosen"] == ranker["fusion"]["chosen"]
    retriever = evaluated["models"]["lrurec"]["valid"]["ndcg@10"]
    for row in ablation["rows"]:
        assert row["gain"]["mean"] == pytest.approx(row["test"] - retriever)
    # The second time nothing is run again.
    store_with_base.remove("smollm2-135m")
    assert as_json("evaluate", "--dataset", "ml-100k") == evaluated

    listed = as_json("store", "list")
    assert [(row["name"], row["kind"]) for row in listed["artefacts"]] == [
        ("ml-100k", "dataset"),
        ("ml-100k/lrurec", "retriever"),
        ("ml-100k/smollm2-135m", "ranker"),
        ("ml-100k/smollm2-135m.test", "evaluation"),
    ]
    shown = as_json("store", "show", "ml-100k/smollm2-135m")
    assert set(shown["parents"]) == {"ml-100k", "ml-100k/lrurec", "smollm2-135m"}
    assert not list((store_with_base.home / "work").iterdir())

    run("store", "remove", "ml-100k", code=1)
    run("store", "remove", "ml-100k/smollm2-135m", code=1)
    run("store", "remove", "ml-100k/smollm2-135m.test", "--yes")
    run("store", "remove", "ml-100k/smollm2-135m", "--yes")
    assert "ml-100k/smollm2-135m" not in store_with_base


def test_the_tables_for_people_show_the_same(raw_folder: Path, store_with_base: Store, config: str) -> None:
    result = run("prepare", "ml-100k", "--source", str(raw_folder))
    assert "720" in result.stdout
    assert "3,650" in result.stdout
    assert "differs from that of LlamaRec, Table 2 (610, 3,650)" in result.stderr
    result = run("train", "retriever", "--dataset", "ml-100k", "--config", config)
    assert "0.1426" in result.stdout
    result = run(
        "train",
        "ranker",
        "--dataset",
        "ml-100k",
        "--retriever",
        "ml-100k/lrurec",
        "--config",
        config,
        "--max-examples",
        "8",
    )
    assert "retriever + verbalizer" in result.stdout
    assert "untrained" in result.stderr
    result = run("recommend", "--history", "-", "--dataset", "ml-100k", stdin='["film 05"]')
    assert "probability" in result.stdout
    assert "The Film" in result.stdout
    shown = run("evaluate", "--dataset", "ml-100k").stdout
    assert "0.1524" in shown
    assert "beyond all other signals" in shown
    assert "smollm2-135m" in run("store", "list").stdout
    assert "made by: llamarec" in run("store", "show", "ml-100k").stdout


def test_a_catalogue_smaller_than_the_candidates(store_with_base: Store, config: str, tmp_path: Path) -> None:
    folder = write_ring(tmp_path / "small", items=25)
    run("prepare", "ml-100k", "--source", str(folder))
    run(
        "train",
        "ranker",
        "--dataset",
        "ml-100k",
        "--retriever",
        "ml-100k/lrurec",
        "--config",
        config,
        "--max-examples",
        "4",
    )
    assert len(as_json("recommend", "--history", "-", "--dataset", "ml-100k", "--k", "5", stdin='["5"]')["items"]) == 5
    everything = json.dumps([str(item) for item in range(1, 23)])
    left = as_json("recommend", "--history", "-", "--dataset", "ml-100k", stdin=everything)["items"]
    assert sorted(item["id"] for item in left) == ["23", "24", "25"]
    assert as_json("evaluate", "--dataset", "ml-100k")["users"] == 60


def test_missing_steps_are_taken_or_refused(raw_folder: Path, store_with_base: Store, config: str) -> None:
    result = run("train", "ranker", "--dataset", "ml-100k", "--retriever", "ml-100k/lrurec", "--no-auto", code=1)
    assert "The store holds no ml-100k" in result.stderr
    assert "llamarec prepare ml-100k" in result.stderr
    run("prepare", "ml-100k", "--source", str(raw_folder))
    result = run("train", "ranker", "--dataset", "ml-100k", "--retriever", "ml-100k/lrurec", "--no-auto", code=1)
    assert "llamarec train retriever --dataset ml-100k" in result.stderr


def test_a_replaced_retriever_makes_the_ranker_stale(raw_folder: Path, store_with_base: Store, config: str) -> None:
    run("prepare", "ml-100k", "--source", str(raw_folder))
    run("train", "retriever", "--dataset", "ml-100k", "--config", config)
    run(
        "train",
        "ranker",
        "--dataset",
        "ml-100k",
        "--retriever",
        "ml-100k/lrurec",
        "--config",
        config,
        "--max-examples",
        "4",
    )
    result = run("train", "retriever", "--dataset", "ml-100k", "--config", config, code=1)
    assert "--replace" in result.stderr
    result = run("train", "retriever", "--dataset", "ml-100k", "--config", config, "--seed", "7", "--replace")
    assert "These were made from an earlier version of ml-100k/lrurec and must be trained again" in result.stderr
    result = run("recommend", "--history", "-", "--dataset", "ml-100k", stdin='["film 05"]', code=1)
    assert "was trained with another ml-100k/lrurec" in result.stderr
    result = run("evaluate", "--dataset", "ml-100k", code=1)
    assert "was trained with another ml-100k/lrurec" in result.stderr


def test_a_ranker_by_title_likelihood_needs_no_training(raw_folder: Path, store_with_base: Store, config: str) -> None:
    run("prepare", "ml-100k", "--source", str(raw_folder))
    run("train", "retriever", "--dataset", "ml-100k", "--config", config)
    likelihood = (
        "train",
        "ranker",
        "--dataset",
        "ml-100k",
        "--retriever",
        "ml-100k/lrurec",
        "--strategy",
        "likelihood",
    )
    ranker = as_json(*likelihood, "--signals", "titles")
    assert "examples" not in ranker
    assert set(ranker["fusion"]["groups"]["all"]["coefficients"]) == {"retriever", "titles", "likelihood"}
    ranked = as_json("recommend", "--history", "-", "--dataset", "ml-100k", "--no-fusion", stdin='["film 05"]')
    assert len(ranked["items"]) == 10
    # The language model alone reads candidates in no order, so the second call gives the same.
    assert as_json("recommend", "--history", "-", "--dataset", "ml-100k", "--no-fusion", stdin='["film 05"]') == ranked
    evaluated = as_json("evaluate", "--dataset", "ml-100k")
    assert set(evaluated["models"]) == {"lrurec", "likelihood", "llamarec"}
    # Another choice of signals has the same tensors, and must not be shown the ranks of this one.
    as_json(*likelihood, "--signals", "none", "--replace")
    again = as_json("evaluate", "--dataset", "ml-100k")
    assert [row["group"] for row in again["ablation"]["rows"]] == ["retriever", "likelihood", "retriever + likelihood"]
    run("prepare", "beauty", "--source", str(raw_folder))
    run("train", "retriever", "--dataset", "beauty", "--config", config)
    assert (
        "is a ranker of ml-100k"
        in run("evaluate", "--dataset", "beauty", "--ranker", "ml-100k/smollm2-135m", code=2).stderr
    )
    shown = as_json("store", "show", "ml-100k/smollm2-135m")
    assert "adapter_model.safetensors" not in shown["files"]
    trains = ("--max-minutes", "5"), ("--negatives", "mixed"), ("--loss", "letters")
    for wrong in (*trains, ("--signals", "title"), ("--strategy", "likelyhood")):
        run(*likelihood, *wrong, "--name", "ml-100k/other", code=2)


def test_a_log_of_one_s_own(home: Path, tmp_path: Path, config: str) -> None:
    log = tmp_path / "log.csv"
    rows = [f"c{user},{(user + step) % 20},{step}" for user in range(30) for step in range(8)]
    log.write_text("customer,sku,when\n" + "\n".join(rows) + "\nc1,,9\n")
    items = tmp_path / "items.jsonl"
    items.write_text("".join(json.dumps({"sku": item, "name": f"Thing {item}"}) + "\n" for item in range(20)))
    prepare = ("prepare", "myshop", "--interactions", str(log), "--items", str(items), "--time-column", "when")
    prepared = as_json(*prepare)
    assert (prepared["users"], prepared["items"], prepared["interactions"]) == (30, 20, 240)
    assert prepared["report"]["bad_rows"] == 1
    shown = run(*prepare)
    assert "same content" in shown.stderr
    assert "line 242: no sku" in shown.stderr
    assert as_json("train", "retriever", "--dataset", "myshop", "--config", config)["name"] == "myshop/lrurec"
    run("prepare", "games", *prepare[2:], code=2)
    run("prepare", "myshop", "--items", str(items), code=2)
    nothing = run("prepare", "tiny", *prepare[2:], "--min-count", "100", code=1)
    assert "lower --min-count from 100" in nothing.stderr
    assert "line 242" in run(*prepare, "--strict", code=1).stderr


@pytest.mark.parametrize("made", ["likelihood", "verbalizer"])
def test_every_strategy_ranks_with_every_ranker(
    raw_folder: Path, store_with_base: Store, config: str, tmp_path: Path, made: str
) -> None:
    run("prepare", "ml-100k", "--source", str(raw_folder))
    trained = [] if made == "likelihood" else ["--max-examples", "4"]
    run(
        "train",
        "ranker",
        "--dataset",
        "ml-100k",
        "--retriever",
        "ml-100k/lrurec",
        "--strategy",
        made,
        "--config",
        config,
        *trained,
    )
    history = tmp_path / "history.json"
    history.write_text('["The Film 03", "The Film 04"]')
    asked = ["recommend", "--dataset", "ml-100k", "--history", str(history), "--top", "20", "--json"]
    alone = json.loads(run(*asked, "--no-fusion").stdout)["items"]
    for strategy in ("verbalizer", "likelihood", "generate-titles", "generate-letters", "pointwise"):
        items = json.loads(run(*asked, "--strategy", strategy).stdout)["items"]
        assert sum(item["probability"] for item in items) == pytest.approx(1)
        assert {item["id"] for item in items} == {item["id"] for item in alone}
        if strategy == made:
            assert items == alone
        measured = json.loads(
            run("evaluate", "--dataset", "ml-100k", "--strategy", strategy, "--sample", "3", "--json").stdout
        )
        assert measured["sample"] == 3
        assert set(measured["models"]) == {"ml-100k/lrurec", strategy}
        assert 0 <= measured["models"][strategy]["valid"]["ndcg@10"] <= 1
        assert (measured["unparsed"] is not None) == strategy.startswith("generate")
    exact = json.loads(run(*asked, "--no-fusion", "--precision", "fp32").stdout)["items"]
    by_id = {item["id"]: item["probability"] for item in exact}
    assert all(item["probability"] == pytest.approx(by_id[item["id"]], abs=0.02) for item in alone)
    run(*asked, "--strategy", "guess", code=2)
