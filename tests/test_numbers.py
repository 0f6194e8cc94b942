"""Numbers as users give them and as messages show them."""

import pytest

from llamarec_cli.numbers import LARGEST, counted, problem_with, whole_numbers


@pytest.mark.parametrize(("value", "fine"), [(LARGEST, True), (-LARGEST, True), (LARGEST + 1, False), (1e300, False)])
def test_the_range_of_numbers(value: float, fine: bool) -> None:
    assert (problem_with(value) is None) == fine


def test_nan_and_infinity_are_refused_and_other_values_ignored() -> None:
    assert problem_with(float("nan")) == problem_with(float("-inf")) == "must be a finite number"
    assert problem_with("x") is problem_with(True) is None


def test_lists_of_whole_numbers() -> None:
    assert whole_numbers("1, 20", 20) == [1, 20]
    for text in ("", "1,", "0", "21", "-1", "1.0", "\u0661", "x"):
        with pytest.raises(ValueError):
            whole_numbers(text, 20)


def test_one_is_singular() -> None:
    assert (counted(1, "item"), counted(0, "item"), counted(1348, "item")) == ("1 item", "0 items", "1,348 items")
