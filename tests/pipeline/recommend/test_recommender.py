"""Both stages together, over a ranker without a language model."""

import dataclasses
from pathlib import Path

import pytest
from fakes import write_alternating

from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.tables import TableOptions
from llamarec_cli.errors import HistoryError, UsageError
from llamarec_cli.names import Repeats
from llamarec_cli.pipeline.prepare import prepare_dataset, prepare_tables
from llamarec_cli.pipeline.recommend.options import RecommendOptions
from llamarec_cli.pipeline.recommend.recommender import Recommender
from llamarec_cli.pipeline.train.ranker import train as train_ranker
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest
from llamarec_cli.pipeline.train.retriever import train as train_retriever
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.store.registry import Store


@pytest.fixture
def ranked(raw_folder: Path, store_with_base: Store, context: Context) -> Context:
    prepare_dataset(context, "ml-100k", raw_folder)
    train_retriever(context, RetrieverRequest("ml-100k", model="popularity"))
    train_ranker(context, RankerRequest("ml-100k", strategy="signals", retriever="ml-100k/popularity"))
    return context


def test_each_entry_is_matched_once(ranked: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    recommender = Recommender(dataclasses.replace(ranked, warn=warned.append), "ml-100k")
    matched: list[str] = []
    find = recommender.matcher.index.find
    monkeypatch.setattr(recommender.matcher.index, "find", lambda entry: (matched.append(entry), find(entry))[1])
    found = recommender.recommend(["7", "zzz", "8"])
    assert matched == ["7", "zzz", "8"]
    assert (found.history_ids, found.unknown, len(warned)) == (["7", "8"], ["zzz"], 1)


def test_lists_are_as_long_as_the_options_or_the_call_say(ranked: Context) -> None:
    recommender = Recommender(ranked, "ml-100k", options=RecommendOptions(top=3, k=7))
    assert [len(recommender.recommend(["7"], top).items) for top in (None, 7)] == [3, 7]
    with pytest.raises(UsageError, match="`top` must be between 1 and 7, not 8"):
        recommender.recommend(["7"], 8)
    # Probabilities are over the seven candidates.
    assert sum(item.probability for item in recommender.recommend(["7"], 7).items) == pytest.approx(1)


def test_histories_that_leave_nothing_to_recommend_are_refused_alone(ranked: Context) -> None:
    recommender = Recommender(ranked, "ml-100k")
    histories = [["zzz"], [str(item) for item in range(1, 41)], ["7"]]
    found = recommender.recommend_many([recommender.matcher.match(history) for history in histories])
    assert [type(one) for one in found[:2]] == [HistoryError, HistoryError]
    assert "holds every item" in str(found[1])
    assert found[2] == recommender.recommend(["7"])
    assert recommender.recommend_many([]) == []


def test_where_repeats_are_kept_items_of_the_history_are_recommended(
    store_with_base: Store, context: Context, tmp_path: Path
) -> None:
    log = write_alternating(tmp_path / "log.csv")
    prepare_tables(context, "own", log, None, TableOptions(repeats=Repeats.KEEP), min_count=1)
    train_ranker(context, RankerRequest("own", strategy="signals", retriever="own/popularity"))
    recommender = Recommender(context, "own")
    assert recommender.recipe()["repeats"] is True
    everything = ["x0", "x1", "x2", "x3", "x4", "a", "b"]
    assert {item.item_id for item in recommender.recommend(["x0", "a", "b"], 2).items} == {"a", "b"}
    assert {item.item_id for item in recommender.recommend(everything, 7).items} == set(everything)
    assert [item.item_id for item in recommender.retrieve(everything, 2)] == ["a", "b"]
