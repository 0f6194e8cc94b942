"""Options of a recommendation: refused in one place, with names as Python writes them."""

from dataclasses import fields
from typing import Any

import pytest

from llamarec_cli.errors import UsageError
from llamarec_cli.pipeline.recommend.options import RecommendOptions, describe, list_length


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"top": 99}, "`top` must be between 1 and 50, not 99."),
        ({"top": 0}, "`top` must be between 1 and 50, not 0."),
        ({"top": 6, "k": 5}, "`top` must be between 1 and 5, not 6."),
        ({"top": 2.5}, "`top` must be between 1 and 50, not 2.5."),
        ({"k": 51}, "`k` must be between 1 and 50, not 51."),
        ({"k": "5"}, "`k` must be between 1 and 50, not '5'."),
        ({"strategy": "pointwize"}, "There is no strategy called pointwize: did you mean pointwise?"),
        ({"precision": "bf61"}, "There is no precision called bf61: did you mean bf16?"),
    ],
)
def test_invalid_values_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        RecommendOptions(**values)
    assert refused.value.sentence == sentence


def test_lists_are_as_long_as_there_are_candidates() -> None:
    assert [list_length(None, 20), list_length(None, 5), list_length(20, 20)] == [10, 5, 20]
    with pytest.raises(UsageError, match="between 1 and 20, not 21"):
        list_length(21, 20)


def test_every_option_is_described() -> None:
    assert all(describe(one.name).endswith(".") for one in fields(RecommendOptions))
