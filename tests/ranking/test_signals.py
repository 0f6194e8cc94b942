import numpy as np
import pytest

from llamarec_cli.data.splits import Sequences
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.ranking.signals import Signal, SignalSource, TitleLikeness
from llamarec_cli.retrieval.candidates import Candidates
from llamarec_cli.retrieval.neighbours import CountsConfig, ItemCounts

TITLES = ["", "Halo 3", "Halo 4", "Gran Turismo 5", "Zelda", "Turismo"]


def example(history: list[int], candidates: list[int]) -> RankingExample:
    return RankingExample(np.array(history, dtype=np.int32), np.array(candidates, dtype=np.int32), 0)


def counted() -> ItemCounts:
    counts = ItemCounts(5, CountsConfig(neighbours=4, window=2, recent=2))
    sequences = np.array([1, 2, 3, 1, 2], dtype=np.int32)
    counts.count(Sequences(sequences, np.array([0, 3, 5])))
    return counts


class _Scorer(CandidateScorer):
    def __init__(self) -> None:
        self.asked = 0

    def rank(self, history: list[int], candidates: list[int]) -> np.ndarray:
        self.asked += 1
        return -np.arange(len(candidates), dtype=np.float64)


def test_titles_that_share_rare_words_are_alike() -> None:
    likeness = TitleLikeness(TITLES).score(example([1], [2, 3, 4]))
    assert likeness[0] > 0.3
    assert likeness[1:].tolist() == [0, 0]


def test_the_latest_title_counts_most() -> None:
    likeness = TitleLikeness(TITLES)
    assert likeness.score(example([1, 3], [5]))[0] > likeness.score(example([3, 1], [5]))[0]


def pools(*items: list[int]) -> Candidates:
    items_SK = np.array(items, dtype=np.int32)
    return Candidates(items_SK, np.zeros(items_SK.shape, dtype=np.float32), {"lrurec": -items_SK.astype(np.float32)})


def test_item_counts_are_read_at_the_candidates() -> None:
    source = SignalSource(counted(), TITLES, _Scorer)
    signals = source.compute([example([1], [2, 5]), example([3], [1])], pools([2, 5], [1, 0]))
    together, following = signals[Signal.TOGETHER], signals[Signal.FOLLOWING]
    assert together[0, 0] > 0
    assert together[0, 1] == 0
    # 1 came before 3 and not after it; the second user has one candidate alone.
    assert together[1, 0] > 0
    assert following[1].tolist() == [0, 0]


def test_the_first_stages_scores_are_signals_too() -> None:
    signals = SignalSource(counted(), TITLES, _Scorer).compute([example([1], [2, 5])], pools([2, 5]), [])
    assert signals[Signal.RETRIEVER][0].tolist() == pytest.approx([np.log(0.5)] * 2)
    assert signals["lrurec"].tolist() == [[-2, -5]]
    assert set(signals) == {Signal.RETRIEVER, "lrurec"}


def test_the_language_model_is_loaded_once_and_not_before_it_is_asked() -> None:
    scorers: list[_Scorer] = []

    def load() -> _Scorer:
        scorers.append(_Scorer())
        return scorers[-1]

    source = SignalSource(counted(), TITLES, load)
    source.compute([example([1], [2, 3])], pools([2, 3]))
    assert not scorers
    assert source.scorer is source.scorer
    assert len(scorers) == 1
