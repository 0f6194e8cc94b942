"""Numbers as users give them (by option, file or variable) and as messages show them."""

from __future__ import annotations

import math
import re

# The largest seed; no count needs more, and a larger number may not fit an array.
LARGEST = 2**32 - 1
_WHOLE = re.compile(r"\s*[0-9]{1,10}\s*", re.ASCII)


def problem_with(value: object) -> str | None:
    """Return why a number is not acceptable, as the end of a sentence; None if it is, or the value is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    return f"must be between -{LARGEST:,} and {LARGEST:,}" if abs(value) > LARGEST else None


def whole_numbers(text: str, most: int) -> list[int]:
    """Parse a comma-separated list of whole numbers.

    Args:
        text: The numbers, in ASCII digits: `int` would also accept digits of other scripts.
        most: The largest number allowed.

    Raises:
        ValueError: A part is not a whole number from 1 to `most`.
    """
    parts = text.split(",")
    if not all(_WHOLE.fullmatch(part) for part in parts):
        raise ValueError("not whole numbers")
    numbers = [int(part) for part in parts]
    if not all(1 <= number <= most for number in numbers):
        raise ValueError("out of range")
    return numbers


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1: `1 item`, `1,348 items`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
