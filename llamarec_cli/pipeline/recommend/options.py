"""Options of a recommendation: one definition for the command line, Python and services.

Imports nothing heavy, so that invalid values are refused before torch is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any

from llamarec_cli.errors import UsageError, command, shown
from llamarec_cli.names import parse_precision
from llamarec_cli.strategies.prompt import MAX_CANDIDATES
from llamarec_cli.strategies.registry import strategy_row

DEFAULT_TOP = 10


def _option(default: Any, description: str) -> Any:
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class RecommendOptions:
    """All options that decide about a list, beside the ranker and the history; `describe` tells what each is.

    Raises:
        UsageError: A value is out of range, or not one of the names allowed.
    """

    top: int | None = _option(None, f"Length of the list; {DEFAULT_TOP} by default.")
    k: int | None = _option(None, "Number of candidates to rank; that of the ranker by default.")
    strategy: str | None = _option(None, "Rank by the language model alone, with this strategy.")
    precision: str | None = _option(None, "Data type of the language model; by default the adapter's or the device's.")
    fusion: bool = _option(True, "Rank by the fitted fusion of signals; otherwise by the language model alone.")

    def __post_init__(self) -> None:
        if self.k is not None:
            _check_range("k", self.k, MAX_CANDIDATES)
        list_length(self.top, MAX_CANDIDATES if self.k is None else self.k)
        if self.strategy is not None:
            strategy_row(self.strategy)
        parse_precision(self.precision)


def describe(name: str) -> str:
    """Return the description of an option."""
    return next(str(one.metadata["description"]) for one in fields(RecommendOptions) if one.name == name)


def list_length(top: int | None, candidates: int) -> int:
    """Return the length of a list.

    Args:
        top: The length asked for; by default `DEFAULT_TOP`, or the number of candidates if that is less.
        candidates: Number of candidates.

    Raises:
        UsageError: `top` is less than 1 or more than the number of candidates.
    """
    if top is None:
        return min(DEFAULT_TOP, candidates)
    _check_range("top", top, candidates)
    return top


def _check_range(name: str, value: object, most: int) -> None:
    if not isinstance(value, Integral) or not 1 <= int(value) <= most:
        raise UsageError(f"`{name}` must be between 1 and {most}, not {shown(value)}.", command("recommend", help=True))
