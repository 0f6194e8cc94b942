"""Rankers on base models of other architectures, pools of other sizes, and quantised weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import byte_tokenizer, tiny_gpt2, tiny_llama, tiny_qwen2, write_ring
from tiny_models import tiny_model

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import ranker_name
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model import inference
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.evaluate.evaluation import evaluate
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.recommend.options import RecommendOptions
from llamarec_cli.pipeline.recommend.recommendations import Recommendations
from llamarec_cli.pipeline.recommend.recommender import Recommender
from llamarec_cli.pipeline.train.ranker import train as train_any
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest
from llamarec_cli.pipeline.train.retriever import train as train_retriever
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest

OVERRIDES = {
    "lrurec": {"width": 16, "blocks": 1, "max_length": 12},
    "training": {"batch_size": 16, "epochs": 4, "validate_every": 8},
    "ranker": {
        "max_examples": 4,
        "batch_size": 2,
        "warmup_steps": 1,
        "validate_every": 2,
        "validation_users": 3,
    },
}


def train(context: Context, dataset: str, strategy: str = "verbalizer", **options: Any) -> Any:
    """Train a ranker over the retriever of ids, which is there already."""
    return train_any(context, RankerRequest(dataset, strategy=strategy, retriever=f"{dataset}/lrurec", **options))


def save(model: Any, folder: Path) -> str:
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def prepared(context: Context, raw_folder: Path) -> Context:
    prepare_dataset(context, "ml-100k", raw_folder)
    train_retriever(context, RetrieverRequest("ml-100k", overrides=OVERRIDES))
    return context


def recommend(context: Context, history: list[str], *, dataset: str, ranker: str, **options: Any) -> Recommendations:
    return Recommender(context, dataset, ranker, RecommendOptions(**options)).recommend(history)


@pytest.mark.parametrize(
    ("make", "quantize", "k"),
    [(tiny_llama, "none", 20), (tiny_llama, "nf4", 20), (tiny_qwen2, "none", 39), (tiny_gpt2, "none", 5)],
    ids=["llama", "nf4", "qwen2, K = 39", "gpt2, K = 5"],
)
def test_one_call_makes_a_ranker(prepared: Context, tmp_path: Path, make: Any, quantize: str, k: int) -> None:
    base = save(make(), tmp_path / "tiny-base")
    artefact = train(prepared, "ml-100k", base=base, quantize=quantize, k=k, overrides=OVERRIDES)
    assert artefact.manifest.name == "ml-100k/tiny-base"
    assert artefact.manifest.metrics["examples"] == 4
    result = recommend(
        prepared, ["The Film 05 (1955)"], dataset="ml-100k", ranker="ml-100k/tiny-base", top=k, fusion=False
    )
    assert len(result.items) == k
    assert sum(item.probability for item in result.items) == pytest.approx(1)
    evaluated = evaluate(prepared, "ml-100k", ranker="ml-100k/tiny-base")
    assert evaluated.valid_users == (evaluated.runs["lrurec"][0] <= k).sum()


def test_forty_candidates_are_ranked(context: Context, tmp_path: Path) -> None:
    prepare_dataset(context, "ml-100k", write_ring(tmp_path / "wide", items=60, users=90))
    train_retriever(context, RetrieverRequest("ml-100k", overrides=OVERRIDES))
    base = save(tiny_llama(), tmp_path / "tiny-base")
    train(context, "ml-100k", base=base, k=40, overrides=OVERRIDES)
    result = recommend(context, ["5"], dataset="ml-100k", ranker="ml-100k/tiny-base", top=40, fusion=False)
    assert len({item.item_id for item in result.items}) == 40
    assert sum(item.probability for item in result.items) == pytest.approx(1)


def test_metrics_are_logged_at_each_step_and_validation(
    prepared: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[int, list[str]]] = []

    @contextmanager
    def metrics_log(folder: Path, step: int) -> Iterator[Any]:
        assert (folder, step) == (tmp_path / "logs", 0)
        yield lambda step, figures: logged.append((step, sorted(figures)))

    monkeypatch.setattr("llamarec_cli.pipeline.train.ranker.metrics_log", metrics_log)
    monkeypatch.setattr("llamarec_cli.pipeline.train.ranker_plan.need_tensorboard", lambda: None)
    base = save(tiny_llama(), tmp_path / "tiny-base")
    train(prepared, "ml-100k", base=base, overrides=OVERRIDES, tensorboard=tmp_path / "logs")
    training = ["train/learning_rate", "train/loss"]
    assert [one for one in logged if one[1] == training] == [(1, training), (2, training)]
    assert [step for step, names in logged if "validation/accuracy" in names] == [0, 2]


def test_a_relative_folder_is_found_from_elsewhere(
    prepared: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tiny_llama(), tmp_path / "models" / "tiny-base")
    monkeypatch.chdir(tmp_path)
    artefact = train(prepared, "ml-100k", base="models/tiny-base", overrides=OVERRIDES)
    monkeypatch.chdir("/")
    name = artefact.manifest.name
    assert len(recommend(prepared, ["5"], dataset="ml-100k", ranker=name, fusion=False).items) == 10


def test_an_adapter_trained_beside_4_bit_weights_ranks_beside_them(
    prepared: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Precision | None] = []
    load = inference.load_for_ranking

    def recorded(folder: Path, device: Any, precision: Precision | None = None, adapter: Path | None = None) -> Any:
        asked.append(precision)
        return load(folder, device, precision, adapter)

    monkeypatch.setattr(inference, "load_for_ranking", recorded)
    base = save(tiny_llama(), tmp_path / "tiny-base")
    train(prepared, "ml-100k", base=base, quantize="nf4", overrides=OVERRIDES)
    recommend(prepared, ["5"], dataset="ml-100k", ranker="ml-100k/tiny-base", fusion=False)
    recommend(prepared, ["5"], dataset="ml-100k", ranker="ml-100k/tiny-base", fusion=False, precision=Precision.FP32)
    assert asked == [Precision.NF4, Precision.NF4, Precision.FP32]


def test_names_of_rankers_are_well_formed_whatever_the_base_is_called() -> None:
    assert ranker_name("games") == "games/smollm2-135m"
    assert ranker_name("games", "meta-llama/Llama-2-7b-hf") == "games/llama-2-7b-hf"
    assert ranker_name("games", "/models/My Model (v1)/") == "games/my-model-v1"


def test_another_model_in_the_same_folder_is_noticed(prepared: Context, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    train(prepared, "ml-100k", base=save(tiny_qwen2(), folder), strategy="likelihood", overrides=OVERRIDES)
    save(tiny_gpt2(), folder)
    with pytest.raises(LlamaRecError, match="another version of"):
        recommend(prepared, ["The Film 05 (1955)"], dataset="ml-100k", ranker="ml-100k/base", fusion=False)


def test_long_titles_do_not_run_out_of_learnt_positions(prepared: Context, tmp_path: Path) -> None:
    base = save(tiny_model("gpt2", n_positions=500), tmp_path / "tiny-base")
    train(prepared, "ml-100k", base=base, k=5, overrides=OVERRIDES)
    history = [f"The Film {number:02d} ({1950 + number})" for number in range(1, 21)]
    for strategy in (None, "likelihood"):
        found = recommend(
            prepared,
            history,
            dataset="ml-100k",
            ranker="ml-100k/tiny-base",
            top=5,
            fusion=False,
            strategy=strategy,
        )
        assert len(found.items) == 5
