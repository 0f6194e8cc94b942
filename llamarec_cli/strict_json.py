"""JSON by the standard: NaN and Infinity are neither read nor written."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def loads(text: str) -> Any:
    """Parse JSON.

    Raises:
        json.JSONDecodeError: The text is not JSON.
        ValueError: It contains NaN or Infinity, or a number or nesting beyond Python's limits.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("lists are nested too deeply") from error


def dumps(value: Any) -> str:
    """Write JSON in ASCII; NaN and infinities become null, objects that are not JSON become their `str`."""
    try:
        return json.dumps(value, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key if not isinstance(key, float) else str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
