"""`store verify`: full verification of an artefact, reading every file."""

from __future__ import annotations

from llamarec_cli.artefacts.contents import (
    COUNTS_FILE,
    WEIGHTS_FILE,
    check_candidates,
    check_prepared,
    check_ranks,
    fill,
    reading,
    wrong_contents,
)
from llamarec_cli.artefacts.retrievers import load_results
from llamarec_cli.data.dataset import load_prepared
from llamarec_cli.data.splits import held_out
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.ranking.fusion import FusionGroups
from llamarec_cli.retrieval.neighbours import CountsConfig, ItemCounts
from llamarec_cli.retrieval.registry import build
from llamarec_cli.store.manifest import Kind, read_manifest
from llamarec_cli.store.registry import Artefact, Store


def verify(store: Store, name: str) -> list[str]:
    """Return the faults of an artefact in its digests, tensors and values; an empty list if there are none.

    Values that depend on the data set are checked if the store holds it undamaged.

    Args:
        store: The store.
        name: Name of an artefact in the store.
    """
    if wrong := store.verify(name):
        return wrong
    artefact = Artefact(store.path_of(name), read_manifest(store.path_of(name)))
    if found := wrong_contents(artefact):
        return [found]
    try:
        with reading(artefact, "its content"):
            _check_values(store, artefact)
    except LlamaRecError as error:
        return [error.sentence.removeprefix(f"{name} is damaged: ").removesuffix(".")]
    return []


def _check_values(store: Store, artefact: Artefact) -> None:
    """Raise if the values in an artefact contradict each other, its manifest or its data set."""
    config, metrics = artefact.manifest.config, artefact.manifest.metrics
    if artefact.manifest.kind is Kind.DATASET:
        check_prepared(artefact, load_prepared(artefact.path))
        return
    if artefact.manifest.kind is Kind.RETRIEVER:
        check_ranks(artefact, {split: result.ranks_S for split, result in load_results(artefact).items()})
    if artefact.manifest.kind is Kind.RANKER and "strategy" in config:
        FusionGroups.from_json(metrics["fusion"])
    dataset = config.get("dataset")
    if dataset is None or dataset not in store or store.verify(dataset):
        return
    parent = store.open(dataset)
    if parent.manifest.digest != artefact.manifest.parents.get(dataset):
        return
    data = load_prepared(parent.path)
    if artefact.manifest.kind is Kind.RETRIEVER:
        fill(build(config, data.item_count), artefact, WEIGHTS_FILE)
        for split, result in load_results(artefact).items():
            cases = held_out(data, split)
            check_candidates(artefact, cases, result.ranks_S, result.candidates.items_SK, data.item_count)
    if artefact.manifest.kind is Kind.RANKER and "counts" in config:
        fill(ItemCounts(data.item_count, CountsConfig(**config["counts"])), artefact, COUNTS_FILE)
