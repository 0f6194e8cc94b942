"""Numbers that people give, by flag, file or variable: which are taken, said in one place."""

from __future__ import annotations

import math
import re

# The largest seed. What counts anything is smaller, and what is larger fits no array.
LARGEST = 2**32 - 1
_WHOLE = re.compile(r"\s*[0-9]{1,10}\s*", re.ASCII)


def problem_with(value: object) -> str | None:
    """Return what is wrong with a number, as the end of a sentence; None if nothing is, or it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    return f"must be between -{LARGEST:,} and {LARGEST:,}" if abs(value) > LARGEST else None


def whole_numbers(text: str, most: int) -> list[int]:
    """Read whole numbers with commas between them.

    Args:
        text: The numbers; ASCII digits, since other alphabets' and raised ones are no numbers to most programs.
        most: The largest that is taken.

    Raises:
        ValueError: One is no whole number from 1 to the largest.
    """
    parts = text.split(",")
    if not all(_WHOLE.fullmatch(part) for part in parts):
        raise ValueError("not whole numbers")
    numbers = [int(part) for part in parts]
    if not all(1 <= number <= most for number in numbers):
        raise ValueError("out of range")
    return numbers
