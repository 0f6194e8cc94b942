"""A strategy on a sample of the users whose item was retrieved."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import SplitResult
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.evaluate import strategy
from llamarec_cli.pipeline.evaluate.strategy import StrategyEvaluation, evaluate_strategy
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.retrieval.candidates import Candidates

K = 5


class Reversed(CandidateScorer):
    """Scores the retriever's last candidate highest."""

    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        return np.arange(len(candidates), dtype=np.float64)


def evaluate_at(
    place: int, context: Context, data: PreparedData, monkeypatch: pytest.MonkeyPatch, sample: int = 100
) -> StrategyEvaluation:
    """Evaluate with every user's item at one place among the candidates."""
    cases = held_out(data, Split.TEST)
    items = (cases.targets_S[:, None] - 1 + np.arange(K) - place) % data.item_count + 1
    candidates = Candidates(items.astype(np.int32), np.zeros(items.shape, dtype=np.float32))
    result = SplitResult(np.full(len(cases), place + 1, dtype=np.int32), candidates)
    retriever = SimpleNamespace(retrieved=lambda *_: result)
    ranker = SimpleNamespace(
        artefact=SimpleNamespace(manifest=SimpleNamespace(config={"k": K})),
        retriever="games/lrurec",
        load_strategy=lambda _: Reversed(),
        spec=lambda _: None,
    )
    monkeypatch.setattr(strategy, "load_both_stages", lambda *_: (data, retriever, ranker))
    return evaluate_strategy(context, "games", "likelihood", sample=sample)


def test_the_strategy_ranks_beside_the_retriever(
    context: Context, ring: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluate_at(K - 1, context, ring, monkeypatch)
    assert found.sample == ring.user_count
    assert found.metrics["games/lrurec"]["mrr@5"] == pytest.approx(1 / K)
    assert found.metrics["likelihood"]["mrr@5"] == 1
    assert found.difference.mean == pytest.approx(1 - 1 / np.log2(K + 1))
    assert found.unparsed is None


def test_a_sample_is_drawn(context: Context, ring: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluate_at(0, context, ring, monkeypatch, sample=3).sample == 3


def test_without_a_retrieved_item_there_is_nothing_to_rank(
    context: Context, ring: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LlamaRecError, match="retrieves no test user's item") as raised:
        evaluate_at(K, context, ring, monkeypatch)
    assert raised.value.hint == "llamarec train retriever --dataset games --replace"


def test_items_that_can_never_be_hit_are_warned_of(
    context: Context, ring: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    items = ring.items_N.copy()
    # Every fifth user's last item is the first of the history.
    items[ring.offsets_U[1::5] - 1] = items[ring.offsets_U[:-1:5]]
    repeating = replace(ring, items_N=items)
    evaluate_at(0, replace(context, warn=warned.append), repeating, monkeypatch)
    evaluate_at(0, replace(context, warn=warned.append), replace(repeating, repeats=True), monkeypatch)
    (warning,) = warned
    assert warning.startswith("20% of the test items of games are in the user's own history")
    assert "llamarec prepare my-games --interactions FILE --repeats keep" in warning
