"""What every retriever is: something that scores the whole catalogue for a history.

Two kinds share it. A `SequenceModel` is trained by gradient, in the loop of `training`; a `FittedRetriever` is made
in one go from counts, or over another retriever that has been trained.

Shapes: B users, V items + padding, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from llamarec_cli.data.splits import HeldOut, Sequences
from llamarec_cli.progress import Reporter, silent
from llamarec_cli.retrieval.batches import TrainingBatch, pack_histories


class Retriever(nn.Module, ABC):
    """Scores items; what makes two of the same kind differ is in the state dictionary."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the retrievers whose scores make up this one's; none for most."""
        return ()

    @property
    def reading_parts(self) -> tuple[str, ...]:
        """Those of `parts` that read what a language model made of the items' titles."""
        return ()

    @property
    def reads_language_model(self) -> bool:
        """Whether this retriever reads what a language model made of the items' titles."""
        return bool(self.reading_parts)

    @abstractmethod
    def score(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> Tensor:
        """Score every item for some users.

        Args:
            histories: Histories, of which none may be empty.
            users_B: Which of them.

        Returns:
            B x V; only the order and the differences of scores have a meaning. The history is not masked yet.
        """

    def score_in_parts(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        """Score every item, and tell the score of each of `parts`, by name; B x V each."""
        return self.score(histories, users_B), {}

    def settle(self) -> None:
        """Compute what scoring reads and what follows from the weights; called before a catalogue is scored."""


class SequenceModel(Retriever):
    """A neural sequential recommender with tied item embeddings and a bias an item.

    Attributes:
        config: Its configuration; has `max_length`.
        embedding: Item embeddings, V x D; row 0 is the padding's.
        item_bias: V values.
    """

    config: Any
    embedding: nn.Embedding
    item_bias: Tensor

    @abstractmethod
    def training_loss(self, batch: TrainingBatch) -> Tensor:
        """Return the loss of one batch, a scalar in nats."""

    @abstractmethod
    def user_vectors(self, histories: PackedSequence) -> Tensor:
        """Return what is compared with the item embeddings after each history, B x D."""

    def score(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> Tensor:
        """Score every item by dot product with the user's vector, plus its bias."""
        packed = pack_histories(histories, users_B, self.config.max_length, self.item_bias.device)
        return torch.addmm(self.item_bias, self.user_vectors(packed), self.embedding.weight.T)


@dataclass(frozen=True)
class Fitting:
    """What a `FittedRetriever` may be made from.

    Attributes:
        sequences: Training part of every user's sequence.
        validation: Held-out cases, for what is chosen and not counted.
        item_count: Number of items, without the padding.
        trained: Returns another retriever of the same data, trained, by the name of its row.
        device: Where it will score.
        report: Progress.
    """

    sequences: Sequences
    validation: HeldOut
    item_count: int
    trained: Callable[[str], Retriever]
    device: torch.device
    report: Reporter = silent


class FittedRetriever(Retriever):
    """A retriever that is made without gradient descent."""

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, fitting: Fitting) -> Self:
        """Make one."""

    def figures(self) -> dict[str, Any]:
        """Return what is to be told of the fit in the manifest."""
        return {}
