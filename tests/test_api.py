"""The Python face: its docstring is its test."""

import doctest
from pathlib import Path

import pytest

import llamarec_cli.api
from llamarec_cli import LlamaRec
from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.recommend.recommender import Recommender
from llamarec_cli.pipeline.train.ranker import train as train_ranker
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest
from llamarec_cli.pipeline.train.retriever import train as train_retriever
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.store.registry import Store

OVERRIDES = {
    "lrurec": {"width": 16, "blocks": 1, "max_length": 12},
    "training": {"batch_size": 16, "epochs": 10, "validate_every": 20, "learning_rate": 0.01},
}


@pytest.fixture
def trained(raw_folder: Path, store_with_base: Store) -> Store:
    context = Context(store_with_base, command="test")
    prepare_dataset(context, "ml-100k", raw_folder)
    train_retriever(context, RetrieverRequest("ml-100k", overrides=OVERRIDES))
    request = RankerRequest("ml-100k", strategy="likelihood", retriever="ml-100k/lrurec", overrides=OVERRIDES)
    train_ranker(context, request)
    return store_with_base


def test_its_docstring_holds(trained: Store) -> None:
    result = doctest.testmod(llamarec_cli.api)
    assert result.attempted > 5
    assert result.failed == 0


def test_batches_homes_and_mistakes(trained: Store) -> None:
    rec = LlamaRec.load("ml-100k", home=trained.home)
    histories = [["The Film 05 (1955)"], ["7", "8"]]
    for one, history in zip(rec.recommend_many(histories, top=2), histories, strict=True):
        alone = rec.recommend(history, top=2)
        assert [item.item_id for item in one] == [item.item_id for item in alone]
        assert [item.probability for item in one] == pytest.approx([item.probability for item in alone])
    probabilities = [item.probability for item in rec.rank(["5"], ["6", "7", "8"])]
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities == sorted(probabilities, reverse=True)
    fresh = Recommender(Context(Store(trained.home), command="test"), "ml-100k", fusion=False)
    with pytest.raises(LlamaRecError, match="knows none"):
        fresh.recommend(["zzz"])
    assert "scorer" not in vars(fresh.ranker.source), "the language model was loaded to refuse"
    with pytest.raises(LlamaRecError, match="knows none"):
        rec.recommend(["zzz"])
    with pytest.raises(LlamaRecError, match="knows none"):
        rec.recommend_many([["7"], ["zzz"]])
    assert rec.recommend_many([]) == []
    assert rec.recommend([7]) == rec.recommend(["7"])  # type: ignore[list-item]
    with pytest.warns(UserWarning, match="'zzz' is not known"):
        assert rec.recommend(["7", "zzz"]) == rec.recommend(["7"])
    with pytest.raises(TypeError, match="not '50' alone"):
        rec.recommend("50")
    with pytest.raises(LlamaRecError, match="at least 1"):
        rec.retrieve(["7"], k=0)
    with pytest.raises(LlamaRecError, match="does not know the candidate"):
        rec.rank(["5"], ["zzz"])
    with pytest.raises(LlamaRecError, match="no candidates"):
        rec.rank(["5"], [])
    with pytest.raises(AttributeError):
        llamarec_cli.Llamarec  # noqa: B018
