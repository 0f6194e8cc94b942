"""NARM: neural attentive session-based recommendation (Li et al., 2017, arXiv 1711.04725).

A GRU reads the sequence. Its last state is the global summary (section 3.3 there); an additive attention of that state
over all states so far gives the local one, the main purpose (section 3.4); both together, through a bilinear map, are
compared with the item embeddings (section 3.5).

Like the other models here, it is trained at every position of a window, not only at the last.

Shapes: B sequences, L longest length, P real positions of all of them, D width, V items + padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from llamarec_cli.retrieval.attention import Ragged
from llamarec_cli.retrieval.batches import TrainingBatch
from llamarec_cli.retrieval.dropout import Dropout
from llamarec_cli.retrieval.loss import catalogue_cross_entropy
from llamarec_cli.retrieval.scoring import SequenceModel


@dataclass(frozen=True)
class NARMConfig:
    """Architecture of NARM.

    Attributes:
        width: D, the size of item embeddings and GRU states.
        dropout: Dropout rate on embeddings and on the two summaries.
        max_length: Number of most recent items that are read of a history.
    """

    width: int = 64
    dropout: float = 0.2
    max_length: int = 50

    def __post_init__(self) -> None:
        if min(self.width, self.max_length) < 1:
            raise ValueError("width and max_length must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")


class NARM(SequenceModel):
    """The whole model.

    Args:
        item_count: Number of items, without the padding.
        config: Architecture.
    """

    def __init__(self, item_count: int, config: NARMConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(item_count + 1, config.width)
        self.dropout = Dropout(config.dropout)
        self.gru = nn.GRU(config.width, config.width)
        # Equation 8: the weight of state j for position t is v . sigmoid(A1 h_t + A2 h_j).
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key = nn.Linear(config.width, config.width, bias=False)
        self.energy = nn.Linear(config.width, 1, bias=False)
        self.bilinear = nn.Linear(2 * config.width, config.width, bias=False)
        self.item_bias = nn.Parameter(torch.zeros(item_count + 1))
        nn.init.normal_(self.embedding.weight, std=0.02)

    def training_loss(self, batch: TrainingBatch) -> Tensor:
        """Return the mean negative log-likelihood of the next item at every real position."""
        ragged = Ragged.of(batch.inputs)
        states_BLD = self._states(batch.inputs)
        queries_BLD, keys_BLD = self.query(states_BLD), self.key(states_BLD)
        # Position by position: all pairs of positions at once would take B x L x L x D memory.
        local = [
            self._attend(queries_BLD[:, step : step + 1], keys_BLD[:, : step + 1], states_BLD[:, : step + 1])
            for step in range(states_BLD.shape[1])
        ]
        x_PD = self._summarise(states_BLD, torch.cat(local, dim=1))[ragged.mask_BL]
        targets_P = ragged.rows_of(batch.targets_P, batch.inputs)
        return catalogue_cross_entropy(x_PD, self.embedding.weight, self.item_bias, targets_P)

    def user_vectors(self, histories: PackedSequence) -> Tensor:
        """Return the bilinear map of both summaries of each history, B x D."""
        ragged = Ragged.of(histories)
        states_BLD = self._states(histories)
        rows = torch.arange(len(states_BLD), device=states_BLD.device)
        last_B1D = states_BLD[rows, ragged.lengths_B - 1].unsqueeze(1)
        local_B1D = self._attend(self.query(last_B1D), self.key(states_BLD), states_BLD, ragged.mask_BL)
        return self._summarise(last_B1D, local_B1D).squeeze(1)

    def _states(self, items: PackedSequence) -> Tensor:
        embedded = PackedSequence(
            self.dropout(self.embedding(items.data)), items.batch_sizes, items.sorted_indices, items.unsorted_indices
        )
        return pad_packed_sequence(self.gru(embedded)[0], batch_first=True)[0]

    def _attend(self, query_B1D: Tensor, keys_BLD: Tensor, states_BLD: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        weights_BL1 = self.energy(torch.sigmoid(query_B1D + keys_BLD))
        if mask_BL is not None:
            weights_BL1 = weights_BL1 * mask_BL.unsqueeze(-1)
        # As in the paper, the weights are not normalised.
        mixed_B1D: Tensor = (weights_BL1 * states_BLD).sum(dim=1, keepdim=True)
        return mixed_B1D

    def _summarise(self, global_BLD: Tensor, local_BLD: Tensor) -> Tensor:
        out_BLD: Tensor = self.bilinear(self.dropout(torch.cat([global_BLD, local_BLD], dim=-1)))
        return out_BLD
