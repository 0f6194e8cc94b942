"""Data at the edge of what can be trained on: handled, or refused with a sentence."""

import numpy as np
import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import load_results
from llamarec_cli.data.dataset import PreparedData, save_prepared
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.train.retriever import train
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.retrieval.registry import RETRIEVERS
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact

NEURAL = {"width": 8, "max_length": 6}
OVERRIDES = {
    **{row.name: NEURAL for row in RETRIEVERS.values() if row.is_neural},
    "textrec": {**NEURAL, "features": "tfidf", "dimensions": 4, "hidden": 4},
    "training": {"epochs": 2, "validate_every": 2},
}
every_model = pytest.mark.parametrize("model", RETRIEVERS)


def trained(context: Context, model: str) -> Artefact:
    return train(context, RetrieverRequest("tiny", model=model, overrides=OVERRIDES))


def keep(context: Context, sequences: list[list[int]], times: list[int] | None = None) -> None:
    """Put sequences into the store as the data set `tiny`."""
    offsets = np.concatenate([[0], np.cumsum([len(sequence) for sequence in sequences])]).astype(np.int64)
    items = np.array(sum(sequences, []), dtype=np.int32)
    names = ["", *(f"i{item}" for item in range(1, int(items.max()) + 1))]
    stamps = None if times is None else np.array(times, dtype=np.int64)
    data = PreparedData(items, offsets, stamps, [f"u{user}" for user in range(len(sequences))], names, names)
    manifest = Manifest("tiny", Kind.DATASET, config={}, parents={}, metrics={}, command="test")
    with context.store.stage(manifest) as folder:
        save_prepared(data, folder)


@every_model
def test_one_user(context: Context, model: str) -> None:
    keep(context, [[1, 2, 3, 4, 5, 6]])
    artefact = trained(context, model)
    for result in load_results(artefact).values():
        assert len(result.ranks_S) == 1
        assert 1 <= result.ranks_S[0] <= 6


@every_model
def test_users_of_length_three_leave_no_pair_to_train_on(context: Context, model: str) -> None:
    keep(context, [[1, 2, 3], [3, 2, 1], [2, 1, 3]])
    if RETRIEVERS[model].is_neural or RETRIEVERS[model].blends:
        with pytest.raises(LlamaRecError, match="two interactions left to train on"):
            trained(context, model)
    else:
        assert trained(context, model).manifest.metrics["test"]["recall@10"] > 0


@every_model
def test_users_of_length_two_cannot_be_evaluated(context: Context, model: str) -> None:
    keep(context, [[1, 2], [2, 1]])
    with pytest.raises(LlamaRecError, match="nothing can be held out"):
        trained(context, model)


@every_model
def test_a_catalogue_smaller_than_k(context: Context, model: str) -> None:
    keep(context, [[1, 2, 3, 1, 2], [2, 3, 1, 2, 3], [3, 1, 2, 3, 4]])
    results = load_results(trained(context, model))
    for result in results.values():
        candidates = result.candidates
        assert candidates.k <= 4
        assert np.isneginf(candidates.scores_SK[candidates.items_SK == 0]).all()
        assert np.isfinite(candidates.scores_SK[candidates.items_SK > 0]).all()


@every_model
def test_equal_timestamps(context: Context, model: str) -> None:
    keep(context, [[1, 2, 3, 4, 5], [2, 3, 4, 5, 1], [3, 4, 5, 1, 2]], times=[7] * 15)
    assert trained(context, model).manifest.metrics["test"]["recall@10"] > 0
