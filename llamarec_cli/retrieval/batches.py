"""Packed batches of training windows, and of histories to be scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from llamarec_cli.data.splits import Sequences


@dataclass(frozen=True)
class TrainingBatch:
    """Training windows and, at each position, the next item.

    Attributes:
        inputs: Packed item ids; P positions.
        targets_P: The next item at each position, in packed order; int64.
    """

    inputs: PackedSequence
    targets_P: Tensor


def _packed_positions(
    begins_B: npt.NDArray[np.int64], lengths_B: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the positions in packed order, the size of each time step, and the order of the sequences."""
    order_B = np.argsort(-lengths_B, kind="stable")
    lengths, begins = lengths_B[order_B], begins_B[order_B]
    steps = np.arange(lengths[0])
    sizes = np.searchsorted(-lengths, -steps, side="left")
    rank_P = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return begins[rank_P] + np.repeat(steps, sizes), sizes, order_B


def pack_slices(
    items_N: npt.NDArray[np.int32],
    begins_B: npt.NDArray[np.int64],
    lengths_B: npt.NDArray[np.int64],
    device: torch.device,
) -> tuple[PackedSequence, npt.NDArray[np.int64]]:
    """Pack B slices of a flat array of item ids.

    Args:
        items_N: Flat item ids.
        begins_B: First position of each slice.
        lengths_B: Length of each slice; at least 1.
        device: Device of the packed ids.

    Returns:
        The packed ids, and their positions in `items_N` (P entries, packed order).
    """
    positions_P, sizes, order_B = _packed_positions(begins_B, lengths_B)
    order = torch.from_numpy(order_B)
    packed = PackedSequence(
        torch.from_numpy(items_N[positions_P].astype(np.int64)).to(device),
        torch.from_numpy(sizes),
        order.to(device),
        torch.argsort(order).to(device),
    )
    return packed, positions_P


@dataclass(frozen=True)
class TrainingWindows:
    """Sequences cut from their end into windows of `max_length` targets, so that every target occurs exactly once.

    Attributes:
        items_N: Flat item ids of all sequences.
        begins_W: Position of each window's first input; W windows.
        lengths_W: Number of inputs in each window; the targets are one position further.
    """

    items_N: npt.NDArray[np.int32]
    begins_W: npt.NDArray[np.int64]
    lengths_W: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.begins_W)

    @classmethod
    def cut(cls, sequences: Sequences, max_length: int) -> TrainingWindows:
        """Cut sequences into windows; a sequence of one item has no target."""
        begins: list[int] = []
        lengths: list[int] = []
        for first, end in zip(sequences.offsets_S[:-1], sequences.offsets_S[1:], strict=True):
            last_target = int(end) - 1
            while last_target > first:
                begin = max(int(first), last_target - max_length)
                begins.append(begin)
                lengths.append(last_target - begin)
                last_target = begin
        return cls(sequences.items_N, np.array(begins, dtype=np.int64), np.array(lengths, dtype=np.int64))

    def epoch(self, batch_size: int, seed: int, epoch: int, device: torch.device) -> Iterator[TrainingBatch]:
        """Yield the batches of one epoch, whose order depends on seed and epoch alone, so that runs can resume."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self))
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            inputs, positions = pack_slices(self.items_N, self.begins_W[chosen], self.lengths_W[chosen], device)
            yield TrainingBatch(inputs, torch.from_numpy(self.items_N[positions + 1].astype(np.int64)).to(device))


def pack_histories(
    sequences: Sequences, indices: npt.NDArray[np.int64], max_length: int, device: torch.device
) -> PackedSequence:
    """Pack the most recent `max_length` items of some histories; none may be empty."""
    begins, ends = sequences.offsets_S[indices], sequences.offsets_S[indices + 1]
    lengths = np.minimum(ends - begins, max_length)
    return pack_slices(sequences.items_N, ends - lengths, lengths, device)[0]


def last_positions(items: PackedSequence) -> Tensor:
    """Return the index, in packed order, of each sequence's last position; B, in the order the sequences were given."""
    sizes = items.batch_sizes.to(items.data.device)
    count = int(sizes[0])
    step_begins = torch.cumsum(sizes, 0) - sizes
    # The length of the sequence of rank r in the sorted order is the number of steps whose size exceeds r.
    ranks = torch.arange(count, device=sizes.device)
    lengths = (sizes.unsqueeze(0) > ranks.unsqueeze(1)).sum(dim=1)
    ends = step_begins[lengths - 1] + ranks
    return ends if items.unsorted_indices is None else ends[items.unsorted_indices]
