"""Self-attention over sequences of different lengths, for SASRec and BERT4Rec.

Only the attention itself sees padded sequences, since torch's fused kernel wants them so. Everything else works on the
R real positions of a batch, one row each, so that padding costs no feed-forward and no loss.

Shapes: B sequences, L longest length, R real positions, D width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence


@dataclass(frozen=True)
class Ragged:
    """Sequences of different lengths, and where their real positions lie.

    Attributes:
        ids_BL: Item ids, padded with 0 at the right.
        lengths_B: Real positions of each sequence.
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
        """Bring values in the packed order of `items` into the order of the real positions, R values."""
        aligned = PackedSequence(packed_P, items.batch_sizes, items.sorted_indices, items.unsorted_indices)
        return pad_packed_sequence(aligned, batch_first=True)[0][self.mask_BL]

    def last_rows(self) -> Tensor:
        """Return which row is the last of each sequence, B indices."""
        return torch.cumsum(self.lengths_B, 0) - 1

    def positions_from_end(self, longest: int) -> Tensor:
        """Return each row's position in a table of `longest`, the last item of every sequence at its end."""
        steps_BL = torch.arange(self.ids_BL.shape[1], device=self.ids_BL.device)
        return (longest - self.lengths_B.unsqueeze(1) + steps_BL)[self.mask_BL]


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: D.
        heads: H; divides D.
        dropout: On the attention's weights.
        causal: Whether a position sees only itself and what is before it.
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
        # Padding is at the right, so a causal position never sees any.
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
