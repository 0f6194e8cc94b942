"""Values that an option accepts, listed for help and completion.

A help text names a list in braces, as in `One of {retrievers}.`. It is filled in when the commands are built, so that a
row added to a registry appears everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def _retrievers() -> Iterable[str]:
    from llamarec_cli.retrieval.registry import RETRIEVERS

    return RETRIEVERS


def _neural_retrievers() -> Iterable[str]:
    from llamarec_cli.retrieval.registry import neural_retrievers

    return neural_retrievers()


def _features() -> Iterable[str]:
    from llamarec_cli.retrieval.features import Features

    return list(Features)


def _retriever_presets() -> Iterable[str]:
    from llamarec_cli.retrieval.presets import Preset

    return list(Preset)


def _strategies() -> Iterable[str]:
    from llamarec_cli.strategies.registry import STRATEGIES

    return STRATEGIES


def _rankings() -> Iterable[str]:
    from llamarec_cli.strategies.registry import NO_MODEL, fusable_strategies

    return (NO_MODEL, *fusable_strategies())


def _precisions() -> Iterable[str]:
    from llamarec_cli.names import Precision

    return Precision


def _base_models() -> Iterable[str]:
    from llamarec_cli.language_model.catalogue import BASE_MODELS

    return BASE_MODELS


def _presets() -> Iterable[str]:
    from llamarec_cli.strategies.registry import STRATEGIES

    return dict.fromkeys(name for row in STRATEGIES.values() for name in row.presets or ())


def _negatives() -> Iterable[str]:
    from llamarec_cli.strategies.verbalizer.config import NEGATIVES

    return NEGATIVES


def _losses() -> Iterable[str]:
    from llamarec_cli.strategies.verbalizer.config import LOSSES

    return LOSSES


def _quantizations() -> Iterable[str]:
    from llamarec_cli.names import Quantization

    return Quantization


def _repeats() -> Iterable[str]:
    from llamarec_cli.names import Repeats

    return Repeats


def _engines() -> Iterable[str]:
    from llamarec_cli.engines.registry import ENGINES

    return ENGINES


# `strategies` are all ways to read a language model, `rankings` those that `train ranker` fits.
CHOICES: Mapping[str, Callable[[], Iterable[str]]] = {
    "retrievers": _retrievers,
    "neural_retrievers": _neural_retrievers,
    "features": _features,
    "retriever_presets": _retriever_presets,
    "strategies": _strategies,
    "rankings": _rankings,
    "precisions": _precisions,
    "base_models": _base_models,
    "presets": _presets,
    "negatives": _negatives,
    "losses": _losses,
    "quantizations": _quantizations,
    "repeats": _repeats,
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
