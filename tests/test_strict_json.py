"""JSON by the standard, without NaN and Infinity."""

import json
from pathlib import Path

import pytest

from llamarec_cli import strict_json


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "[" * 100_000, "1" * 5000, "{", ""])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        strict_json.loads(text)


def test_nan_and_infinity_are_written_as_null() -> None:
    nan, inf = float("nan"), float("inf")
    written = strict_json.dumps({"a": [nan, 1.5, inf], "b": {nan: (1, -inf)}, "c": Path("x")})
    read = json.loads(written, parse_constant=pytest.fail)
    assert read == {"a": [None, 1.5, None], "b": {"nan": [1, None]}, "c": "x"}
