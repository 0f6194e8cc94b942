"""The neural retrievers by name, and what training and evaluation ask of each.

A further one is a file with its configuration and its class, and a row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from llamarec_cli.errors import UsageError, nearest
from llamarec_cli.retrieval.batches import TrainingBatch
from llamarec_cli.retrieval.bert4rec import BERT4Rec, BERT4RecConfig
from llamarec_cli.retrieval.lrurec import LRURec, LRURecConfig
from llamarec_cli.retrieval.narm import NARM, NARMConfig
from llamarec_cli.retrieval.sasrec import SASRec, SASRecConfig


class SequenceModel(Protocol):
    """A neural sequential recommender: a module with tied item embeddings and a bias an item.

    Attributes:
        config: Its configuration; has `max_length`.
        embedding: Item embeddings, V x D; row 0 is the padding's.
        item_bias: V values.
    """

    config: Any
    embedding: nn.Embedding
    item_bias: nn.Parameter

    def training_loss(self, batch: TrainingBatch) -> Tensor:
        """Return the loss of one batch, a scalar in nats."""
        ...

    def user_vectors(self, histories: PackedSequence) -> Tensor:
        """Return what is compared with the item embeddings after each history, B x D."""
        ...

    def eval(self) -> Any:
        """Switch dropout off, as `nn.Module` does."""
        ...


@dataclass(frozen=True)
class RetrieverRow:
    """One neural retriever.

    Attributes:
        name: On the command line, in the store and as table of a configuration file.
        title: In tables.
        arxiv: Its paper.
        model: Its class; made from the number of items and a configuration.
        config: Class of its configuration.
    """

    name: str
    title: str
    arxiv: str
    model: Any
    config: Any


RETRIEVERS: Mapping[str, RetrieverRow] = {
    row.name: row
    for row in (
        RetrieverRow("lrurec", "LRURec", "2310.02367", LRURec, LRURecConfig),
        RetrieverRow("sasrec", "SASRec", "1808.09781", SASRec, SASRecConfig),
        RetrieverRow("bert4rec", "BERT4Rec", "1904.06690", BERT4Rec, BERT4RecConfig),
        RetrieverRow("narm", "NARM", "1711.04725", NARM, NARMConfig),
    )
}


def retriever_row(name: str) -> RetrieverRow:
    """Look a retriever up by name.

    Raises:
        UsageError: No such name.
    """
    try:
        return RETRIEVERS[name]
    except KeyError:
        raise UsageError(
            f"There is no retriever called {name}: {nearest(name, RETRIEVERS)}", f"Known: {', '.join(RETRIEVERS)}."
        ) from None
