import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import load_retriever, save_retriever
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.prepare import need_dataset, prepare_dataset
from llamarec_cli.retrieval.candidates import retrieve
from llamarec_cli.retrieval.lrurec import LRURec, LRURecConfig


@pytest.fixture
def data(context: Context, raw_folder: Path) -> PreparedData:
    """The ring, and a random retriever of it in the store."""
    prepare_dataset(context, "ml-100k", raw_folder)
    data, artefact = need_dataset(context, "ml-100k")
    torch.manual_seed(0)
    model = LRURec(data.item_count, LRURecConfig(width=8, blocks=1)).eval()
    parents = {"ml-100k": artefact.manifest.digest}
    config = {"dataset": "ml-100k"}
    save_retriever(
        context, "ml-100k/lrurec", model, data, config=config, parents=parents, metrics={"steps": 0}, replace=False
    )
    return data


def test_saved_candidates_are_used_up_to_their_number(context: Context, data: PreparedData) -> None:
    loaded = load_retriever(context, "ml-100k/lrurec", data)
    cases = held_out(data, Split.TEST)
    for k in (5, 20, 30):
        found = loaded.retrieved(data, Split.TEST, k)
        assert found.candidates.k == k
        assert np.array_equal(found.candidates.items_SK, retrieve(loaded.model, cases.histories, k).items_SK)
        assert all(
            (data_item in items) == (rank <= k)
            for data_item, items, rank in zip(cases.targets_S, found.candidates.items_SK, found.ranks_S, strict=True)
        )


def test_another_vocabulary_is_refused(context: Context, data: PreparedData) -> None:
    other = dataclasses.replace(data, item_ids=[*data.item_ids[:-1], "another"])
    with pytest.raises(LlamaRecError, match="their items differ") as raised:
        load_retriever(context, "ml-100k/lrurec", other)
    assert raised.value.hint is not None
    assert "--replace" in raised.value.hint
