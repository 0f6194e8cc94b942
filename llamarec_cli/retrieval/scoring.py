"""Interfaces of a retriever, a model that scores the whole catalogue for a history.

There are two kinds. A `SequenceModel` is trained by gradient descent (module `training`); a `FittedRetriever` is fitted
in one pass, to counts or to the scores of trained retrievers.

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
    """Scores every item for a user; all that is learnt is in the state dictionary."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the retrievers that a blend combines; empty for any other retriever."""
        return ()

    @property
    def reading_parts(self) -> tuple[str, ...]:
        """Those of `parts` whose item vectors come from a language model."""
        return ()

    @property
    def reads_language_model(self) -> bool:
        """Whether item vectors, of this retriever or of one of its parts, come from a language model."""
        return bool(self.reading_parts)

    @abstractmethod
    def score(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> Tensor:
        """Score every item for some users.

        Args:
            histories: Histories, of which none may be empty.
            users_B: Which of them.

        Returns:
            B x V; only order and differences of scores are meaningful. Items of the history are not masked.
        """

    def score_in_parts(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scores of every item, and those of each of `parts` by name; B x V each."""
        return self.score(histories, users_B), {}

    def refresh(self) -> None:
        """Recompute tables that follow from the weights; called before a catalogue is scored."""


class SequenceModel(Retriever):
    """A neural sequential recommender with tied item embeddings and a bias an item.

    Attributes:
        config: Its configuration, with a field `max_length`; the search of hyper-parameters needs `dropout` too.
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
        """Return the vector that item embeddings are compared with after each history, B x D."""

    def score(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> Tensor:
        """Score every item by dot product with the user's vector, plus its bias."""
        packed = pack_histories(histories, users_B, self.config.max_length, self.item_bias.device)
        return torch.addmm(self.item_bias, self.user_vectors(packed), self.embedding.weight.T)


@dataclass(frozen=True)
class Fitting:
    """Inputs for fitting a `FittedRetriever`.

    Attributes:
        sequences: Training part of every user's sequence.
        validation: Held-out cases, for fitting weights.
        item_count: Number of items, without the padding.
        trained: Returns a trained retriever of the same data set by name.
        device: Where to score.
        report: Progress.
    """

    sequences: Sequences
    validation: HeldOut
    item_count: int
    trained: Callable[[str], Retriever]
    device: torch.device
    report: Reporter = silent


class FittedRetriever(Retriever):
    """A retriever that is fitted without gradient descent."""

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, fitting: Fitting) -> Self:
        """Return a fitted retriever."""

    def fit_metrics(self) -> dict[str, Any]:
        """Return metrics of the fit for the manifest."""
        return {}
