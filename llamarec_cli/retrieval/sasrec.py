"""SASRec: self-attentive sequential recommendation (Kang and McAuley, 2018, arXiv 1808.09781).

A causal transformer over item and position embeddings (section III there): layer norm before each of attention and
feed-forward, residual connections around them, items scored by dot product with their embeddings (equation 6).

Deviation: the loss is the softmax cross-entropy over the whole catalogue, not the binary one with a single sampled
negative. Later studies found that SASRec needs it to reach its best, and this project tunes baselines as thoroughly as
its own model.

Shapes: B sequences, R real positions of all of them, D width, V items + padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from llamarec_cli.retrieval.attention import Ragged, SelfAttention
from llamarec_cli.retrieval.batches import TrainingBatch
from llamarec_cli.retrieval.dropout import Dropout
from llamarec_cli.retrieval.loss import catalogue_cross_entropy
from llamarec_cli.retrieval.scoring import SequenceModel


@dataclass(frozen=True)
class SASRecConfig:
    """Architecture of SASRec.

    Attributes:
        width: D, the size of item embeddings and hidden states.
        blocks: Number of blocks.
        heads: Attention heads per block.
        dropout: Dropout rate everywhere.
        max_length: Number of most recent items that are read of a history.
    """

    width: int = 64
    blocks: int = 2
    heads: int = 2
    dropout: float = 0.2
    max_length: int = 50

    def __post_init__(self) -> None:
        if min(self.width, self.blocks, self.heads, self.max_length) < 1 or self.width % self.heads:
            raise ValueError("width, blocks, heads and max_length must be at least 1, and heads must divide width")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")


class SASRec(SequenceModel):
    """The whole model.

    Args:
        item_count: Number of items, without the padding.
        config: Architecture.
    """

    def __init__(self, item_count: int, config: SASRecConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(item_count + 1, config.width)
        self.position = nn.Embedding(config.max_length, config.width)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(SASRecBlock(config) for _ in range(config.blocks))
        self.final_norm = nn.LayerNorm(config.width)
        self.item_bias = nn.Parameter(self.embedding.weight.new_zeros(item_count + 1))
        for table in (self.embedding, self.position):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ragged: Ragged) -> Tensor:
        """Return the hidden state of every real position, R x D."""
        positions_R = ragged.positions_from_end(self.config.max_length)
        # Scaled as in the authors' code; otherwise the small initial embeddings train slowly.
        items_RD = self.embedding(ragged.ids_BL[ragged.mask_BL]) * math.sqrt(self.config.width)
        x_RD = self.dropout(items_RD + self.position(positions_R))
        for block in self.blocks:
            x_RD = block(x_RD, ragged)
        out_RD: Tensor = self.final_norm(x_RD)
        return out_RD

    def training_loss(self, batch: TrainingBatch) -> Tensor:
        """Return the mean negative log-likelihood of the next item at every real position."""
        ragged = Ragged.of(batch.inputs)
        targets_R = ragged.rows_of(batch.targets_P, batch.inputs)
        return catalogue_cross_entropy(self(ragged), self.embedding.weight, self.item_bias, targets_R)

    def user_vectors(self, histories: PackedSequence) -> Tensor:
        """Return the hidden state after each history's last item, B x D."""
        ragged = Ragged.of(histories)
        x_RD: Tensor = self(ragged)
        return x_RD[ragged.last_rows()]


class SASRecBlock(nn.Module):
    """Attention and feed-forward, each with layer norm before it and a residual connection around it."""

    def __init__(self, config: SASRecConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = SelfAttention(config.width, config.heads, config.dropout, causal=True)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.width, config.width),
            nn.ReLU(),
            Dropout(config.dropout),
            nn.Linear(config.width, config.width),
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x_RD: Tensor, ragged: Ragged) -> Tensor:
        """Map R x D to R x D."""
        x_RD = x_RD + self.dropout(self.attention(self.attention_norm(x_RD), ragged))
        out_RD: Tensor = x_RD + self.dropout(self.feed_forward(self.feed_forward_norm(x_RD)))
        return out_RD
