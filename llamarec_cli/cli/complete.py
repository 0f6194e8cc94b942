"""Shell completion of values: names in the store and choices of options.

Each press of the tab key runs one of these functions, so heavy imports are avoided, and a store that cannot be read
completes to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from llamarec_cli.cli.choices import CHOICES
from llamarec_cli.cli.session import open_store
from llamarec_cli.errors import LlamaRecError


def artefacts(incomplete: str) -> list[str]:
    """Complete any name in the store."""
    return _beginning(incomplete, _in_store(""))


def datasets(incomplete: str) -> list[str]:
    """Complete a data set: one of the store or of the catalogue."""
    from llamarec_cli.data.catalogue import CATALOGUE

    return _beginning(incomplete, [*CATALOGUE, *_in_store("dataset")])


def retrievers(incomplete: str) -> list[str]:
    """Complete a retriever of the store."""
    return _beginning(incomplete, _in_store("retriever"))


def rankers(incomplete: str) -> list[str]:
    """Complete a ranker of the store."""
    return _beginning(incomplete, _in_store("ranker"))


def base_models(incomplete: str) -> list[str]:
    """Complete a base model: one known by name or one of the store."""
    return _beginning(incomplete, [*CHOICES["base_models"](), *_in_store("base-model")])


def retriever_models(incomplete: str) -> list[str]:
    """Complete the architecture of a retriever."""
    return _beginning(incomplete, CHOICES["retrievers"]())


def neural_retrievers(incomplete: str) -> list[str]:
    """Complete the name of a retriever that is trained by gradient descent."""
    return _beginning(incomplete, CHOICES["neural_retrievers"]())


def retriever_presets(incomplete: str) -> list[str]:
    """Complete a preset of a retriever's training."""
    return _beginning(incomplete, CHOICES["retriever_presets"]())


def features(incomplete: str) -> list[str]:
    """Complete the features that a retriever of titles reads."""
    return _beginning(incomplete, CHOICES["features"]())


def strategies(incomplete: str) -> list[str]:
    """Complete a strategy that a ranker can be trained for."""
    return _beginning(incomplete, CHOICES["rankings"]())


def all_strategies(incomplete: str) -> list[str]:
    """Complete a strategy, including the baselines."""
    return _beginning(incomplete, CHOICES["strategies"]())


def precisions(incomplete: str) -> list[str]:
    """Complete the precision of the language model."""
    return _beginning(incomplete, CHOICES["precisions"]())


def presets(incomplete: str) -> list[str]:
    """Complete a preset of a ranker's training."""
    return _beginning(incomplete, CHOICES["presets"]())


def negatives(incomplete: str) -> list[str]:
    """Complete a kind of negatives."""
    return _beginning(incomplete, CHOICES["negatives"]())


def losses(incomplete: str) -> list[str]:
    """Complete a training loss."""
    return _beginning(incomplete, CHOICES["losses"]())


def quantizations(incomplete: str) -> list[str]:
    """Complete a storage format of the base model's weights."""
    return _beginning(incomplete, CHOICES["quantizations"]())


def repeats(incomplete: str) -> list[str]:
    """Complete a meaning of repeated interactions."""
    return _beginning(incomplete, CHOICES["repeats"]())


def engines(incomplete: str) -> list[str]:
    """Complete the name of an engine."""
    return _beginning(incomplete, CHOICES["engines"]())


def _in_store(kind: str) -> list[str]:
    """Return the names of artefacts of a kind; of all kinds if it is empty."""
    try:
        found = open_store().artefacts()
    except (LlamaRecError, OSError):
        return []
    return [one.manifest.name for one in found if not kind or one.manifest.kind == kind]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})
