from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Sequences
from llamarec_cli.names import Quantization
from llamarec_cli.progress import silent
from llamarec_cli.ranking.examples import TrainingExamples
from llamarec_cli.strategies.training import LogMetrics, TrainingPlan, TrainingServices
from llamarec_cli.strategies.verbalizer.config import RankerConfig
from llamarec_cli.strategies.verbalizer.training import train
from llamarec_cli.strategies.worker_group import WorkerGroup

CONFIG = RankerConfig(batch_size=2, checkpointing=False, warmup_steps=1, max_examples=4, validate_every=1)
ADAPTER = "adapter_model.safetensors"


class State:
    """Saved state in memory."""

    def __init__(self) -> None:
        self.saved: list[tuple[dict[str, Tensor], dict[str, Any]]] = []

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        return self.saved[-1] if self.saved else None

    def save(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        self.saved.append((tensors, numbers))


class Negatives:
    """Retrieves the items 1 to 5 for everybody, and counts the users."""

    def __init__(self) -> None:
        self.users = 0

    def retrieve(self, users_B: np.ndarray, prefixes: Sequences) -> np.ndarray:
        self.users += len(users_B)
        return np.tile(np.arange(1, 6, dtype=np.int32), (len(users_B), 1))

    def figures(self) -> list[dict[str, Any]]:
        return [{"recall": 0.5}]


@pytest.fixture
def logged() -> list[int]:
    return []


@pytest.fixture
def plan(ring: PreparedData, tiny_base_folder: Path, examples: TrainingExamples, logged: list[int]) -> TrainingPlan:
    @contextmanager
    def logging(step: int) -> Iterator[LogMetrics]:
        logged.append(step)

        def log(step: int, metrics: Mapping[str, float]) -> None:
            pass

        yield log

    return TrainingPlan(
        base=tiny_base_folder,
        base_name="tiny",
        data=ring,
        k=5,
        validation=[examples[index] for index in range(100, 106)],
        hyperparameters=CONFIG,
        quantization=Quantization.NONE,
        max_minutes=None,
        services=TrainingServices(WorkerGroup(), State(), Negatives(), logging, silent),
    )


def folder_in(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def test_an_adapter_is_written_and_a_finished_state_is_not_trained_again(
    plan: TrainingPlan, tmp_path: Path, logged: list[int]
) -> None:
    metrics = train(plan, folder_in(tmp_path, "first"))
    assert metrics["examples"] == 4
    assert [one["step"] for one in metrics["validation"]] == [0, 1, 2]
    assert "cross_fitting" not in metrics
    assert plan.services.negatives.users == 0  # type: ignore[union-attr]
    saves = len(plan.services.state.saved)  # type: ignore[attr-defined]
    assert train(plan, folder_in(tmp_path, "again"))["validation"] == metrics["validation"]
    assert len(plan.services.state.saved) == saves  # type: ignore[attr-defined]
    assert (tmp_path / "again" / ADAPTER).read_bytes() == (tmp_path / "first" / ADAPTER).read_bytes()
    assert logged == [0, 2]


def test_hard_negatives_are_retrieved_and_their_metrics_recorded(plan: TrainingPlan, tmp_path: Path) -> None:
    hard = replace(plan, hyperparameters=replace(CONFIG, negatives="retriever"))
    assert train(hard, tmp_path)["cross_fitting"] == [{"recall": 0.5}]
    assert plan.services.negatives.users == 4  # type: ignore[union-attr]
