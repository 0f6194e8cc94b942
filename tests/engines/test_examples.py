"""Scoring of examples through an engine."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import ranking_examples

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.engines.engine import Worker, WorkerSpec
from llamarec_cli.engines.examples import score_through_engine
from llamarec_cli.engines.local import LocalEngine
from llamarec_cli.engines.registry import DEFAULT_ENGINE, ENGINES, EngineRow
from llamarec_cli.progress import Progress
from llamarec_cli.ranking.scorer import CandidateScorer, score_examples
from llamarec_cli.strategies.registry import ScorerSpec, open_scorer


def elsewhere(spec: WorkerSpec, worker: Worker[Any, Any]) -> LocalEngine[Any, Any]:
    """Run a worker that is opened from the pickled spec, as another process would do."""
    return LocalEngine(pickle.loads(pickle.dumps(spec)).open())  # noqa: S301  # of this test


def test_every_engine_gives_the_scores_of_one_call(
    ring: PreparedData, tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "elsewhere", EngineRow("elsewhere", elsewhere))
    spec = ScorerSpec("pointwise", tiny_base_folder, tmp_path, ring.titles)
    examples = ranking_examples((3, 4), (1, 2), (5, 4))
    scorer = open_scorer(spec)
    whole = score_examples(scorer, examples, 4, "test")
    seen: list[Progress] = []

    def unused() -> CandidateScorer:
        pytest.fail("loaded in this process")

    loads: dict[str, Callable[[], CandidateScorer]] = {DEFAULT_ENGINE: lambda: scorer, "elsewhere": unused}
    for engine, load in loads.items():
        found = list(score_through_engine(engine, spec, load, examples, k=4, chunk_size=2, report=seen.append))
        assert [chunk.shape for chunk in found] == [(2, 4), (1, 4)]
        np.testing.assert_array_equal(np.concatenate(found), whole)
    assert [(one.done, one.total) for one in seen] == [(1, 2), (2, 2), (1, 1)]
