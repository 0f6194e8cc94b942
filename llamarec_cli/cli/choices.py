"""Values that an option may have: one list each, which help and completion both read.

A help text names a list in braces, as in `One of {retrievers}.`; it is filled in when the commands are built, so that
a row that is added to a registry appears everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def _retrievers() -> Iterable[str]:
    return ("lrurec", "sasrec", "bert4rec", "narm", "textrec", "popularity", "ensemble")


def _features() -> Iterable[str]:
    return ("language-model", "tfidf", "both", "random")


def _strategies() -> Iterable[str]:
    from llamarec_cli.strategies.registry import STRATEGIES

    return STRATEGIES


def _rankings() -> Iterable[str]:
    from llamarec_cli.strategies.registry import fusable_strategies

    return ("signals", *fusable_strategies())


def _precisions() -> Iterable[str]:
    from llamarec_cli.names import Precision

    return Precision


def _base_models() -> Iterable[str]:
    from llamarec_cli.language_model.catalogue import BASE_MODELS

    return BASE_MODELS


def _engines() -> Iterable[str]:
    from llamarec_cli.engines.registry import ENGINES

    return ENGINES


# `strategies` are all ways to read a language model, `rankings` those that `train ranker` fits.
CHOICES: Mapping[str, Callable[[], Iterable[str]]] = {
    "retrievers": _retrievers,
    "features": _features,
    "strategies": _strategies,
    "rankings": _rankings,
    "precisions": _precisions,
    "base_models": _base_models,
    "engines": _engines,
}


def fill_help(command: Any) -> None:
    """Write the lists that a command's help texts name in their place."""
    for parameter in command.params:
        text = getattr(parameter, "help", None)
        for name, values in CHOICES.items():
            if text and f"{{{name}}}" in text:
                *others, last = values()
                text = text.replace(f"{{{name}}}", f"{', '.join(others)} or {last}" if others else last)
        if text:
            parameter.help = text
