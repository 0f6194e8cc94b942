"""Names that a shell completes: what the store holds and what this program knows.

Called at every press of the tab key, so nothing heavy is imported, and whatever goes wrong completes to nothing.
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
    """Complete a data set: of the store, or known to this program."""
    from llamarec_cli.data.catalogue import CATALOGUE

    return _beginning(incomplete, [*CATALOGUE, *_in_store("dataset")])


def retrievers(incomplete: str) -> list[str]:
    """Complete a checkpoint of the first stage."""
    return _beginning(incomplete, _in_store("retriever"))


def rankers(incomplete: str) -> list[str]:
    """Complete a checkpoint of the second stage."""
    return _beginning(incomplete, _in_store("ranker"))


def base_models(incomplete: str) -> list[str]:
    """Complete a base model."""
    return _beginning(incomplete, [*CHOICES["base_models"](), *_in_store("base-model")])


def retriever_models(incomplete: str) -> list[str]:
    """Complete the name of a retriever's architecture."""
    return _beginning(incomplete, CHOICES["retrievers"]())


def features(incomplete: str) -> list[str]:
    """Complete what textrec knows of a title."""
    return _beginning(incomplete, CHOICES["features"]())


def strategies(incomplete: str) -> list[str]:
    """Complete a way to read the language model."""
    return _beginning(incomplete, CHOICES["rankings"]())


def ways_to_rank(incomplete: str) -> list[str]:
    """Complete a way to read the language model, baselines included."""
    return _beginning(incomplete, CHOICES["strategies"]())


def precisions(incomplete: str) -> list[str]:
    """Complete what the language model computes in."""
    return _beginning(incomplete, CHOICES["precisions"]())


def engines(incomplete: str) -> list[str]:
    """Complete the name of an engine."""
    return _beginning(incomplete, CHOICES["engines"]())


def _in_store(kind: str) -> list[str]:
    try:
        found = open_store().artefacts()
    except (LlamaRecError, OSError):
        return []
    return [one.manifest.name for one in found if not kind or one.manifest.kind == kind]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})
