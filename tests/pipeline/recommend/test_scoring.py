"""What ranks: the fusion, the language model of the ranker alone, or another strategy alone."""

import pytest

from llamarec_cli.pipeline.recommend.options import RecommendOptions
from llamarec_cli.pipeline.recommend.scoring import _group_and_strategy
from llamarec_cli.ranking.fusion import SIGNALS, FusionGroups


@pytest.mark.parametrize(
    ("own", "strategy", "fusion", "expected"),
    [
        (None, None, True, (SIGNALS, None)),
        (None, None, False, (SIGNALS, "likelihood")),
        (None, "pointwise", True, (SIGNALS, "pointwise")),
        ("verbalizer", None, True, (SIGNALS, None)),
        ("verbalizer", None, False, ("verbalizer", None)),
        ("verbalizer", "verbalizer", True, ("verbalizer", None)),
        ("verbalizer", "likelihood", True, (SIGNALS, "likelihood")),
        ("verbalizer", "likelihood", False, ("verbalizer", "likelihood")),
    ],
)
def test_the_group_that_ranks_and_the_strategy_instead_of_it(
    own: str | None, strategy: str | None, fusion: bool, expected: tuple[str, str | None]
) -> None:
    groups = FusionGroups(fitted={}, chosen=SIGNALS, users=0, model=own, k=20)
    assert _group_and_strategy(groups, RecommendOptions(strategy=strategy, fusion=fusion)) == expected
