"""`store verify`: everything about an artefact that can be checked, by reading all of it."""

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
    """Return what is wrong with an artefact: digests, the tensors that it must have, and what they mean.

    What depends on the data set is checked where the store holds that undamaged.

    Args:
        store: The store.
        name: Name of an artefact that is there, damaged or not.
    """
    if wrong := store.verify(name):
        return wrong
    artefact = Artefact(store.path_of(name), read_manifest(store.path_of(name)))
    if found := wrong_contents(artefact):
        return [found]
    try:
        with reading(artefact, "its content"):
            _read(store, artefact)
    except LlamaRecError as error:
        return [error.sentence.removeprefix(f"{name} is damaged: ").removesuffix(".")]
    return []


def _read(store: Store, artefact: Artefact) -> None:
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
