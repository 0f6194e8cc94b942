"""Self-attention over sequences of different lengths, for SASRec and BERT4Rec.

Only the attention itself works on padded sequences, as torch's fused kernel requires. Everything else works on the R
real positions of a batch, one row each, so that neither feed-forward nor loss computes padding.

Shapes: B sequences, L longest length, R real positions, D width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence


@dataclass(frozen=True)
class Ragged:
    """Padded sequences of different lengths, with a mask of their real positions.

    Attributes:
        ids_BL: Item ids, padded with 0 on the right.
        lengths_B: Number of real positions of each sequence.
        mask_BL: Which positions are real.
    """

    ids_BL: Tensor
    lengths_B: Tensor
    mask_BL: Tensor

    @classmethod
    def of(cls, items: PackedSequence) -> Ragged:
        """Unpack item ids, in the order the sequences were given."""
        ids_BL, lengths_B = pad_packed_sequence(items, batch_first=True)
        lengths_B = lengths_B.to(ids_BL.device)
        return cls(ids_BL, lengths_B, torch.arange(ids_BL.shape[1], device=ids_BL.device) < lengths_B.unsqueeze(1))

    def rows_of(self, packed_P: Tensor, items: PackedSequence) -> Tensor:
        """Reorder values from the packed order of `items` to the order of the real positions, R values."""
        aligned = PackedSequence(packed_P, items.batch_sizes, items.sorted_indices, items.unsorted_indices)
        return pad_packed_sequence(aligned, batch_first=True)[0][self.mask_BL]

    def last_rows(self) -> Tensor:
        """Return the row of the last position of each sequence, B indices."""
        return torch.cumsum(self.lengths_B, 0) - 1

    def positions_from_end(self, longest: int) -> Tensor:
        """Return each row's position in a table of `longest` positions; every sequence ends at the last of them."""
        steps_BL = torch.arange(self.ids_BL.shape[1], device=self.ids_BL.device)
        return (longest - self.lengths_B.unsqueeze(1) + steps_BL)[self.mask_BL]


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: D.
        heads: H; divides D.
        dropout: Dropout rate on the attention weights.
        causal: Whether a position attends only to itself and earlier ones.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.dropout, self.causal = heads, dropout, causal
        self.enter = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)

    def forward(self, x_RD: Tensor, ragged: Ragged) -> Tensor:
        """Map R x D to R x D."""
        width = x_RD.shape[-1]
        batch, longest = ragged.mask_BL.shape
        padded = x_RD.new_zeros(batch, longest, 3 * width)
        padded[ragged.mask_BL] = self.enter(x_RD)
        # B x L x 3 x H x d to three of B x H x L x d.
        query, key, value = padded.view(batch, longest, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Padding is on the right, so a causal position never attends to it.
        mask = None if self.causal else ragged.mask_BL[:, None, None, :]
        mixed = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal,
        )
        joined_BLD = mixed.transpose(1, 2).reshape(batch, longest, width)
        out_RD: Tensor = self.leave(joined_BLD[ragged.mask_BL])
        return out_RD
