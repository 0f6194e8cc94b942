"""Retrievers of users who consume items again."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import write_alternating

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import load_retriever
from llamarec_cli.cli.console import with_options
from llamarec_cli.data.splits import Split
from llamarec_cli.data.tables import TableOptions
from llamarec_cli.evaluation.paper import TWO_STAGES
from llamarec_cli.names import Repeats
from llamarec_cli.pipeline.evaluate.evaluation import evaluate
from llamarec_cli.pipeline.prepare import need_dataset, prepare_tables
from llamarec_cli.pipeline.train.ranker import train as train_ranker
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest
from llamarec_cli.pipeline.train.retriever import train
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.store.registry import Store

WARNING = (
    "100% of the validation items and 100% of the test items of own are in the user's own history, which is masked, so "
    "they can never be hit: prepare it again with llamarec prepare own --interactions FILE --repeats keep --replace if "
    "users consume items again, or else with --repeats drop."
)


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def warning(context: Context, warned: list[str]) -> Context:
    return replace(context, warn=lambda message: warned.append(with_options(message)))


def prepare(context: Context, tmp_path: Path, repeats: Repeats | None) -> None:
    log = write_alternating(tmp_path / "log.csv")
    prepare_tables(context, "own", log, None, TableOptions(repeats=repeats), min_count=1, replace=True)


@pytest.mark.parametrize(
    ("repeats", "ranks", "recall"),
    # In the training sequences x, a, b, a the test item a is the most popular, the validation item b the second.
    [(Repeats.KEEP, {Split.VALIDATION: 2, Split.TEST: 1}, 1.0), (None, None, 0.0)],
)
def test_repeated_items_are_hit_only_where_repeats_are_kept(
    context: Context, tmp_path: Path, repeats: Repeats | None, ranks: dict[Split, int] | None, recall: float
) -> None:
    prepare(context, tmp_path, repeats)
    artefact = train(context, RetrieverRequest("own", model="popularity"))
    assert artefact.manifest.metrics["recall@20"] == {"validation": recall, "test": recall}
    data, _ = need_dataset(context, "own")
    loaded = load_retriever(context, "own/popularity", data)
    for split in Split:
        found = loaded.results[split]
        assert (found.ranks_S == ranks[split]).all() if ranks else (found.ranks_S > data.item_count).all()
        # More candidates than are saved are retrieved again.
        assert (loaded.retrieved(data, split, 30).ranks_S == found.ranks_S).all()


def test_a_neural_retriever_is_validated_with_the_repeats(context: Context, tmp_path: Path) -> None:
    overrides = {"lrurec": {"width": 8}, "training": {"epochs": 1, "validate_every": 1}}
    for repeats, recall in ((Repeats.KEEP, 1.0), (None, 0.0)):
        prepare(context, tmp_path, repeats)
        train(context, RetrieverRequest("own", overrides=overrides, replace=True))
        metrics = context.store.open("own/lrurec").manifest.metrics
        assert metrics["validation"]["recall@10"] == recall


def test_items_that_can_never_be_hit_are_warned_of(warning: Context, warned: list[str], tmp_path: Path) -> None:
    prepare(warning, tmp_path, None)
    warned.clear()
    train(warning, RetrieverRequest("own", model="popularity"))
    assert warned == [WARNING]
    evaluate(warning, "own")
    assert warned == [WARNING] * 2


def test_where_repeats_are_kept_nothing_is_warned_of_and_a_ranker_hits(
    store_with_base: Store, warning: Context, warned: list[str], tmp_path: Path
) -> None:
    prepare(warning, tmp_path, Repeats.KEEP)
    train_ranker(warning, RankerRequest("own", strategy="signals", retriever="own/popularity"))
    found = evaluate(warning, "own")
    assert found.metrics(TWO_STAGES)["all"]["recall@10"] == 1
    assert warned == []


def test_a_ranker_warns_once_though_its_retriever_is_trained_first(
    store_with_base: Store, warning: Context, warned: list[str], tmp_path: Path
) -> None:
    # One more user, whose items can be hit, so that there is something to rank.
    log = write_alternating(tmp_path / "log.csv")
    log.write_text(log.read_text() + "".join(f"v,{item},Title {item}\n" for item in ("x0", "x1", "a", "b")))
    prepare_tables(warning, "own", log, None, TableOptions(), min_count=1)
    warned.clear()
    train_ranker(warning, RankerRequest("own", strategy="signals", retriever="own/popularity"))
    assert warned == [WARNING.replace("100%", "95%")]
