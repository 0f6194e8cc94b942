"""Every neural retriever can be benchmarked, on a data set and nothing else."""

import dataclasses
from pathlib import Path

import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import UsageError
from llamarec_cli.pipeline.bench import retriever
from llamarec_cli.pipeline.bench.machine import Machine
from llamarec_cli.pipeline.bench.retriever import bench_retriever
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.retrieval.registry import neural_retrievers


@pytest.fixture
def prepared(context: Context, raw_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    prepare_dataset(context, "ml-100k", raw_folder)
    monkeypatch.setattr(retriever, "measure_machine", lambda: Machine("fake", 1, "2", 1.0, 1.0))
    # Whitening vectors of the real width takes seconds.
    monkeypatch.setattr(retriever, "_LAYER_WIDTH", 8)
    return dataclasses.replace(context, auto=False)


@pytest.mark.parametrize("model", neural_retrievers())
def test_a_neural_retriever_is_measured(prepared: Context, model: str) -> None:
    measured = bench_retriever(prepared, "ml-100k", model=model, steps=1)
    assert (measured.model, measured.steps, measured.users) == (model, 1, 60)
    assert measured.step_ms > 0
    assert measured.users_per_second > 0
    # Random vectors stand in for those of a language model.
    assert [one.manifest.name for one in prepared.store.artefacts()] == ["ml-100k"]


def test_a_retriever_without_training_steps_is_refused(prepared: Context) -> None:
    with pytest.raises(UsageError, match="popularity is not trained by gradient descent"):
        bench_retriever(prepared, "ml-100k", model="popularity", steps=1)
