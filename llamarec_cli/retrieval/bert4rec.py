"""BERT4Rec: bidirectional transformer trained to predict masked items (Sun et al., 2019, arXiv 1904.06690).

Training (section 3.6 there) replaces a share of each sequence's items by a mask token and predicts them from both
sides. With a small probability only the last item is masked, which is the task of recommendation. To recommend, the
model predicts a mask token appended to the history.

Shapes: B sequences, R real positions of all of them, M masked ones, D width, V items + padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from llamarec_cli.retrieval.attention import Ragged, SelfAttention
from llamarec_cli.retrieval.batches import TrainingBatch
from llamarec_cli.retrieval.dropout import Dropout
from llamarec_cli.retrieval.loss import catalogue_cross_entropy
from llamarec_cli.retrieval.scoring import SequenceModel


@dataclass(frozen=True)
class BERT4RecConfig:
    """Architecture and masking of BERT4Rec.

    Attributes:
        width: D, the size of item embeddings and hidden states.
        blocks: Number of blocks.
        heads: Attention heads per block.
        dropout: Dropout rate everywhere.
        max_length: Number of most recent items that are read of a history.
        mask_share: Share of items that are masked in training.
        last_only_share: Share of training sequences in which only the last item is masked.
    """

    width: int = 64
    blocks: int = 2
    heads: int = 2
    dropout: float = 0.2
    max_length: int = 50
    mask_share: float = 0.2
    last_only_share: float = 0.1

    def __post_init__(self) -> None:
        if min(self.width, self.blocks, self.heads, self.max_length) < 1 or self.width % self.heads:
            raise ValueError("width, blocks, heads and max_length must be at least 1, and heads must divide width")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")
        if not 0 < self.mask_share < 1 or not 0 <= self.last_only_share <= 1:
            raise ValueError("mask_share must be between 0 and 1, last_only_share from 0 to 1")


class BERT4Rec(SequenceModel):
    """The whole model.

    Args:
        item_count: Number of items, without the padding.
        config: Architecture.
    """

    def __init__(self, item_count: int, config: BERT4RecConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(item_count + 1, config.width)
        self.mask = nn.Parameter(torch.empty(config.width))
        # One more than a history, for the mask appended to it.
        self.position = nn.Embedding(config.max_length + 1, config.width)
        self.input_norm = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(BERT4RecBlock(config) for _ in range(config.blocks))
        # Equation 7: a projection before the tied embeddings.
        self.project = nn.Sequential(nn.Linear(config.width, config.width), nn.GELU(), nn.LayerNorm(config.width))
        self.item_bias = nn.Parameter(torch.zeros(item_count + 1))
        for table in (self.embedding.weight, self.position.weight, self.mask):
            nn.init.trunc_normal_(table, std=0.02, a=-0.04, b=0.04)

    def forward(self, ragged: Ragged, masked_R: Tensor) -> Tensor:
        """Return the hidden states at the masked positions.

        Args:
            ragged: Sequences; ids at masked positions are ignored.
            masked_R: Which of the real positions are masked.

        Returns:
            Hidden states, M x D.
        """
        x_RD = self.embedding(ragged.ids_BL[ragged.mask_BL])
        x_RD = torch.where(masked_R.unsqueeze(1), self.mask, x_RD)
        x_RD = x_RD + self.position(ragged.positions_from_end(self.config.max_length + 1))
        x_RD = self.dropout(self.input_norm(x_RD))
        for block in self.blocks:
            x_RD = block(x_RD, ragged)
        out_MD: Tensor = self.project(x_RD[masked_R])
        return out_MD

    def training_loss(self, batch: TrainingBatch) -> Tensor:
        """Return the mean negative log-likelihood of the masked items (equation 8)."""
        inputs = Ragged.of(batch.inputs)
        targets_R = inputs.rows_of(batch.targets_P, batch.inputs)
        # The whole window: its inputs and its last target.
        ragged = _with_one_more(inputs, targets_R[inputs.last_rows()])
        last_R = torch.zeros(int(ragged.lengths_B.sum()), dtype=torch.bool, device=targets_R.device)
        last_R[ragged.last_rows()] = True
        random_R = torch.rand(last_R.shape, device=last_R.device) < self.config.mask_share
        last_only_B = torch.rand(len(ragged.lengths_B), device=last_R.device) < self.config.last_only_share
        last_only_R = torch.repeat_interleave(last_only_B, ragged.lengths_B)
        masked_R = torch.where(last_only_R, last_R, random_R)
        if not bool(masked_R.any()):
            masked_R = last_R
        items_M = ragged.ids_BL[ragged.mask_BL][masked_R]
        return catalogue_cross_entropy(self(ragged, masked_R), self.embedding.weight, self.item_bias, items_M)

    def user_vectors(self, histories: PackedSequence) -> Tensor:
        """Return the hidden state at a mask appended to each history, B x D."""
        inputs = Ragged.of(histories)
        ragged = _with_one_more(inputs, torch.zeros_like(inputs.lengths_B))
        masked_R = torch.zeros(int(ragged.lengths_B.sum()), dtype=torch.bool, device=inputs.ids_BL.device)
        masked_R[ragged.last_rows()] = True
        out_BD: Tensor = self(ragged, masked_R)
        return out_BD


class BERT4RecBlock(nn.Module):
    """Attention and feed-forward, each with a residual connection around it and layer norm after it."""

    def __init__(self, config: BERT4RecConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config.width, config.heads, config.dropout, causal=False)
        self.attention_norm = nn.LayerNorm(config.width)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.width, 4 * config.width), nn.GELU(), nn.Linear(4 * config.width, config.width)
        )
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_RD: Tensor, ragged: Ragged) -> Tensor:
        """Map R x D to R x D."""
        x_RD = self.attention_norm(x_RD + self.dropout(self.attention(x_RD, ragged)))
        out_RD: Tensor = self.feed_forward_norm(x_RD + self.dropout(self.feed_forward(x_RD)))
        return out_RD


def _with_one_more(ragged: Ragged, items_B: Tensor) -> Ragged:
    """Append one item to each sequence."""
    ids_BL = nn.functional.pad(ragged.ids_BL, (0, 1))
    ids_BL[torch.arange(len(items_B), device=items_B.device), ragged.lengths_B] = items_B
    lengths_B = ragged.lengths_B + 1
    return Ragged(ids_BL, lengths_B, torch.arange(ids_BL.shape[1], device=ids_BL.device) < lengths_B.unsqueeze(1))
