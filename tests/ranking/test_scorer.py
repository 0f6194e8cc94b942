from collections.abc import Iterator, Sequence

import numpy as np
from fakes import ranking_examples

from llamarec_cli.progress import Progress
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.scorer import CandidateScorer, score_examples


class Backwards(CandidateScorer):
    """Scores candidates by their negative id, and yields users in reverse order."""

    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> np.ndarray:
        return -np.array(candidates, dtype=np.float64)

    def rank_many(self, examples: Sequence[RankingExample]) -> Iterator[tuple[int, np.ndarray]]:
        yield from reversed(list(super().rank_many(examples)))


def test_scores_stand_in_the_order_of_the_examples_whatever_the_order_of_ranking() -> None:
    examples, reports = ranking_examples((3, 2), (1, 4)), list[Progress]()
    scores = score_examples(Backwards(), examples, 4, "rank", reports.append)
    assert scores[0].tolist() == [*(-examples[0].candidates).tolist(), -np.inf, -np.inf]
    assert scores[1].tolist() == (-examples[1].candidates).tolist()
    assert [(one.stage, one.done, one.total) for one in reports] == [("rank", 1, 2), ("rank", 2, 2)]


def test_a_scorer_without_a_cache_has_nothing_to_disable() -> None:
    scorer = Backwards()
    scorer.disable_cache()
    assert scorer.rank([1], [3, 2]).tolist() == [-3, -2]
