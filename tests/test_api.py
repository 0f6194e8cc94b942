"""The Python face: its docstring is its test."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import llamarec_cli.api
from llamarec_cli import LlamaRec, LlamaRecError
from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import UnknownNameError, UsageError
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.recommend.options import RecommendOptions
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


def test_batches_homes_and_mistakes(trained: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rec = LlamaRec.load("ml-100k", home=trained.home)
    histories = [["The Film 05 (1955)"], ["7", "8"]]
    for one, history in zip(rec.recommend_many(histories, top=2), histories, strict=True):
        alone = rec.recommend(history, top=2)
        assert [item.item_id for item in one] == [item.item_id for item in alone]
        assert [item.probability for item in one] == pytest.approx([item.probability for item in alone])
    with pytest.warns(UserWarning, match="language model alone") as warned:
        probabilities = [item.probability for item in rec.rank(["5"], ["6", "7", "8"])]
    assert warned[0].filename == __file__
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities == sorted(probabilities, reverse=True)
    alone = RecommendOptions(fusion=False)
    fresh = Recommender(Context(Store(trained.home), command="test"), "ml-100k", options=alone)
    with monkeypatch.context() as patch, pytest.raises(LlamaRecError, match="knows none"):
        patch.setattr("llamarec_cli.artefacts.rankers.open_scorer", lambda _: pytest.fail("loaded to refuse"))
        fresh.recommend(["zzz"])
    with pytest.raises(LlamaRecError, match="knows none"):
        rec.recommend(["zzz"])
    with pytest.raises(LlamaRecError, match="knows none"):
        rec.recommend_many([["7"], ["zzz"]])
    assert rec.recommend_many([]) == []
    assert rec.recommend([7]) == rec.recommend(["7"])  # type: ignore[list-item]
    with pytest.warns(UserWarning, match="'zzz' is not known"):
        assert rec.recommend(["7", "zzz"]) == rec.recommend(["7"])
    with pytest.warns(UserWarning, match="'zzz' is not known"):
        assert rec.recommend_many([["7", "zzz"]]) == [rec.recommend(["7"])]
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


def test_options_are_those_of_the_command_line(trained: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="llamarec")
    rec = LlamaRec.load("ml-100k", k=15, strategy="generate-letters", precision="fp32")
    assert "reads history and candidates (generate-letters)" in caplog.text
    with pytest.warns(UserWarning, match="missing from what the language model generated"):
        assert len(rec.recommend(["7"], top=15)) == 15
    with pytest.warns(UserWarning, match="missing from what the language model generated"):
        assert [len(one) for one in rec.recommend_many([["7"], ["8"]])] == [10, 10]
    with pytest.raises(UsageError, match="`top` must be between 1 and 15, not 99"):
        rec.recommend(["7"], top=99)
    with pytest.raises(UsageError, match="`k` must be between 1 and 50, not 51"):
        LlamaRec.load("ml-100k", k=51)
    with pytest.raises(UnknownNameError, match="did you mean fp32"):
        LlamaRec.load("ml-100k", precision="fp3")
    with pytest.raises(UsageError, match="ranks without its language model"):
        LlamaRec.load("ml-100k", precision="fp32")


def test_importing_the_package_imports_no_torch() -> None:
    code = (
        "import sys, llamarec_cli\n"
        "llamarec_cli.LlamaRecError\n"
        "import llamarec_cli.pipeline.recommend.options, llamarec_cli.engines.registry\n"
        "sys.exit(f'imported {heavy}' if (heavy := {'torch', 'numpy', 'polars'} & set(sys.modules)) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
