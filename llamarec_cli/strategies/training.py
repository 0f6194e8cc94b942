"""Interface between a strategy's training and the pipeline, which prepares it and stores the result.

A strategy knows neither the store nor the retrievers. What it needs of them is passed as objects of the protocols
below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from llamarec_cli.progress import Reporter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from llamarec_cli.data.dataset import PreparedData
    from llamarec_cli.data.splits import Sequences
    from llamarec_cli.names import Quantization
    from llamarec_cli.ranking.examples import RankingExample
    from llamarec_cli.strategies.worker_group import WorkerGroup

# Logs metrics by name at an optimiser step.
LogMetrics = Callable[[int, Mapping[str, float]], None]


class HyperParameters(Protocol):
    """Fields that the pipeline reads of a strategy's hyper-parameters, a frozen dataclass with further fields.

    Attributes:
        seed: Random seed.
        validation_users: Users for the selection of the best step, at most half of the validation users; 0 for half.
    """

    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def validation_users(self) -> int: ...  # noqa: D102


class SavedState(Protocol):
    """State of an interrupted training on disk."""

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return tensors and JSON of the last save by a training with the same configuration; None if there is none."""
        ...

    def save(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Replace the saved state."""
        ...


class NegativeRetriever(Protocol):
    """Retriever of hard negatives, trained when it is first used."""

    def retrieve(self, users_B: npt.NDArray[np.int64], prefixes: Sequences) -> npt.NDArray[np.int32]:
        """Return the top K after a prefix of each user's sequence, B x K, by a retriever not trained on the user."""
        ...

    def figures(self) -> list[dict[str, Any]]:
        """Return its validation metrics, for the manifest."""
        ...


@dataclass(frozen=True)
class TrainingServices:
    """What the pipeline provides to a training.

    Attributes:
        workers: Processes that train together; every one of them runs the same training.
        state: State of the training on disk, written by the main process only.
        negatives: Retriever of hard negatives; None for a strategy without hyper-parameters.
        logging: Opens the log of metrics, given the optimiser step at which the training starts.
        report: Progress callback.
    """

    workers: WorkerGroup
    state: SavedState
    negatives: NegativeRetriever | None
    logging: Callable[[int], AbstractContextManager[LogMetrics]]
    report: Reporter


@dataclass(frozen=True)
class TrainingPlan:
    """What a strategy trains on.

    Attributes:
        base: Folder of the base model.
        base_name: Name of the base model.
        data: Prepared data set.
        k: Candidates to rank.
        validation: Users for the selection of the best step, with their retrieved candidates; not used to fit the
            fusion if the strategy has hyper-parameters.
        hyperparameters: An instance of the strategy's dataclass; None if it has none.
        quantization: Storage format of the frozen base model's weights.
        max_minutes: Time limit of the training, counted over interruptions; None for no limit.
        services: What the pipeline provides.
    """

    base: Path
    base_name: str
    data: PreparedData
    k: int
    validation: list[RankingExample]
    hyperparameters: Any
    quantization: Quantization
    max_minutes: float | None
    services: TrainingServices
