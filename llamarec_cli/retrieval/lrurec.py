"""LRURec: linear recurrent units for sequential recommendation (Yue et al., 2023, arXiv 2310.02367).

Each block is a linear recurrence over the sequence and a position-wise feed-forward, both with a residual connection
and layer normalisation after it (section 3.3 there). The recurrence of a block is, for every hidden channel,

    h_t = lambda * h_{t-1} + gamma * (B x_t)        lambda = exp(-exp(nu) + i exp(theta)),  |lambda| < 1
    y_t = Re(C h_t)

with complex lambda, B, C. Items are scored by the dot product of the last hidden state with the (tied) item embeddings,
plus a bias per item.

Layout. Sequences of different lengths are packed, as in `torch.nn.utils.rnn.PackedSequence`: sorted by decreasing
length and time-major, so step t of all sequences that reach it is contiguous. Neither recurrence nor feed-forward nor
loss computes padding positions; the official code pads to a power of two.

Shapes: B sequences, P real positions of all of them, D width, H hidden channels of the recurrence, V items + padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from llamarec_cli.retrieval.batches import TrainingBatch, last_positions
from llamarec_cli.retrieval.diagonal_scan import diagonal_scan
from llamarec_cli.retrieval.dropout import Dropout
from llamarec_cli.retrieval.loss import catalogue_cross_entropy
from llamarec_cli.retrieval.scoring import SequenceModel


@dataclass(frozen=True)
class LRURecConfig:
    """Architecture of LRURec; the defaults are the paper's.

    Attributes:
        width: D, the size of item embeddings and hidden states.
        blocks: Number of blocks.
        dropout: Dropout rate on embeddings and inside the blocks; the paper searches 0.1 to 0.5.
        max_length: Number of most recent items that are read of a history, and the length of a training window.
        r_min: Smallest |lambda| at initialisation.
        r_max: Largest |lambda| at initialisation.
    """

    width: int = 64
    blocks: int = 2
    dropout: float = 0.2
    max_length: int = 50
    r_min: float = 0.8
    r_max: float = 0.99

    def __post_init__(self) -> None:
        if min(self.width, self.blocks, self.max_length) < 1:
            raise ValueError("width, blocks and max_length must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")
        if not 0 < self.r_min < self.r_max < 1:
            raise ValueError("0 < r_min < r_max < 1 must hold, or the recurrence may explode")


@dataclass(frozen=True)
class LRURecState:
    """State of the recurrence after a history.

    Attributes:
        hidden: For each block, the H complex hidden channels.
        vector_D: The vector that item embeddings are compared with; zeros before the first item.
    """

    hidden: tuple[Tensor, ...]
    vector_D: Tensor


class LRURec(SequenceModel):
    """The whole model.

    Args:
        item_count: Number of items, without the padding.
        config: Architecture.
    """

    def __init__(self, item_count: int, config: LRURecConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(item_count + 1, config.width)
        self.embedding_norm = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(LRUBlock(config) for _ in range(config.blocks))
        self.item_bias: Tensor = nn.Parameter(torch.zeros(item_count + 1))
        self._initialise()

    def forward(self, items: PackedSequence) -> Tensor:
        """Return the hidden state of every position.

        Args:
            items: Packed item ids; P positions.

        Returns:
            Hidden states, P x D, in the packed order.
        """
        x_PD = self._embed(items)
        step_sizes = items.batch_sizes.tolist()
        for block in self.blocks:
            x_PD = block(x_PD, step_sizes)
        return x_PD

    def training_loss(self, batch: TrainingBatch) -> Tensor:
        """Return the mean negative log-likelihood of the next item at every real position."""
        return catalogue_cross_entropy(self(batch.inputs), self.embedding.weight, self.item_bias, batch.targets_P)

    def user_vectors(self, histories: PackedSequence) -> Tensor:
        """Return the hidden state after each history's last item, B x D, in the order the histories were given."""
        x_PD = self._embed(histories)
        step_sizes = histories.batch_sizes.tolist()
        *before, last = self.blocks
        for block in before:
            x_PD = block(x_PD, step_sizes)
        assert isinstance(last, LRUBlock)
        return last.at(x_PD, step_sizes, last_positions(histories))

    def start(self) -> LRURecState:
        """Return the state of an empty history."""
        hidden_H = torch.zeros(2 * self.config.width, dtype=torch.cfloat, device=self.item_bias.device)
        return LRURecState((hidden_H,) * len(self.blocks), self.item_bias.new_zeros(self.config.width))

    @torch.inference_mode()
    def advance(self, state: LRURecState, item: int) -> LRURecState:
        """Return the state after one more item, at a cost independent of the length of the history.

        For live sessions. The result equals that of a full pass over the whole history, without the limit `max_length`.
        The model must be in evaluation mode.

        Args:
            state: State returned by `start` or an earlier `advance`.
            item: Id of the item.
        """
        x_D = self.embedding_norm(self.embedding.weight[item])
        hidden: list[Tensor] = []
        for block, before_H in zip(self.blocks, state.hidden, strict=True):
            assert isinstance(block, LRUBlock)
            x_D, after_H = block.advance(x_D, before_H)
            hidden.append(after_H)
        return LRURecState(tuple(hidden), x_D)

    def _embed(self, items: PackedSequence) -> Tensor:
        x_PD: Tensor = self.embedding_norm(self.dropout(self.embedding(items.data)))
        return x_PD

    @torch.no_grad()
    def _initialise(self) -> None:
        """Draw all but norms and the recurrence's own parameters from a truncated normal, as in the official code."""
        for name, parameter in self.named_parameters():
            if "norm" not in name and not name.endswith(("nu_log", "theta_log", "gamma_log")):
                nn.init.trunc_normal_(parameter, std=0.02, a=-0.04, b=0.04)


class LRUBlock(nn.Module):
    """A linear recurrent unit and a feed-forward, each with a residual connection and layer norm after it."""

    def __init__(self, config: LRURecConfig) -> None:
        super().__init__()
        self.unit = LinearRecurrentUnit(config)
        self.unit_norm = nn.LayerNorm(config.width)
        self.widen = nn.Linear(config.width, 4 * config.width)
        self.narrow = nn.Linear(4 * config.width, config.width)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_PD: Tensor, step_sizes: list[int]) -> Tensor:
        """Map P x D to P x D; `step_sizes[t]` sequences reach step t."""
        return self._finish(x_PD, self.unit(x_PD, step_sizes))

    def at(self, x_PD: Tensor, step_sizes: list[int], ends_B: Tensor) -> Tensor:
        """Return only the rows `ends_B` of `forward`; after the recurrence no other row is computed."""
        return self._finish(x_PD[ends_B], self.unit.at(x_PD, step_sizes, ends_B))

    def advance(self, x_D: Tensor, hidden_H: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step of one sequence, from input and hidden channels to output and hidden channels."""
        y_D, hidden_H = self.unit.advance(x_D, hidden_H)
        return self._finish(x_D, y_D), hidden_H

    def _finish(self, x: Tensor, y: Tensor) -> Tensor:
        x = self.unit_norm(x + self.dropout(y))
        wide = self.dropout(nn.functional.gelu(self.widen(x)))
        out: Tensor = self.feed_forward_norm(x + self.dropout(self.narrow(wide)))
        return out


class LinearRecurrentUnit(nn.Module):
    """The diagonal complex recurrence, with its complex maps written as real ones.

    B maps reals to complex numbers, so it is a real map to interleaved (real, imaginary) pairs, which `view_as_complex`
    reads in place. Re(C h) is a real map of the same pairs. Both are plain `nn.Linear`, which is also fast.
    """

    def __init__(self, config: LRURecConfig) -> None:
        super().__init__()
        hidden = 2 * config.width
        # Orvieto et al., 2023, lemma 3.2: |lambda| uniform on the ring between r_min and r_max.
        radius = torch.rand(hidden) * (config.r_max**2 - config.r_min**2) + config.r_min**2
        self.nu_log = nn.Parameter(torch.log(-0.5 * torch.log(radius)))
        self.theta_log = nn.Parameter(torch.log(torch.rand(hidden) * 2 * math.pi))
        # gamma keeps the variance of h near that of the input for any |lambda|.
        self.gamma_log = nn.Parameter(torch.log(torch.sqrt(1 - radius)))
        self.enter = nn.Linear(config.width, 2 * hidden)
        self.leave = nn.Linear(2 * hidden, config.width)

    def decay(self) -> Tensor:
        """Return lambda, H complex numbers inside the unit circle."""
        return torch.exp(torch.complex(-torch.exp(self.nu_log), torch.exp(self.theta_log)))

    def forward(self, x_PD: Tensor, step_sizes: list[int]) -> Tensor:
        """Map P x D to P x D through the recurrence."""
        return self._leave(diagonal_scan(self._enter(x_PD), self.decay(), step_sizes))

    def at(self, x_PD: Tensor, step_sizes: list[int], ends_B: Tensor) -> Tensor:
        """Return only the rows `ends_B` of `forward`."""
        return self._leave(diagonal_scan(self._enter(x_PD), self.decay(), step_sizes)[ends_B])

    def advance(self, x_D: Tensor, hidden_H: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step of one sequence."""
        hidden_H = self.decay() * hidden_H + self._enter(x_D)
        return self._leave(hidden_H), hidden_H

    def _enter(self, x: Tensor) -> Tensor:
        # gamma scales the map, which is cheaper than its many outputs; each channel is a (real, imaginary) pair.
        gamma_2H = torch.exp(self.gamma_log).repeat_interleave(2)
        pairs = nn.functional.linear(x, self.enter.weight * gamma_2H.unsqueeze(1), self.enter.bias * gamma_2H)
        return torch.view_as_complex(pairs.view(*pairs.shape[:-1], -1, 2))

    def _leave(self, h: Tensor) -> Tensor:
        out: Tensor = self.leave(torch.view_as_real(h).flatten(-2))
        return out
