"""Several processes that train one adapter, each on its share of every batch; one alone by default.

The gradients of the shares are added up, so that every process takes the very step that one alone would have taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together; with more than one, torch's default process group joins them.

    Attributes:
        rank: Number of this one, from 0; 0 is the main process, which alone validates, writes and speaks.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the main process."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's part of what all have; the parts differ by one item at most."""
        return items[self.rank :: self.count]

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Put into each tensor, in place, its sum over all processes."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)

    def from_main(self, value: T) -> T:
        """Return what the main process gave; the others wait for it."""
        if self.count == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]

    def dropout_seed(self, seed: int) -> int:
        """Return another seed for each process, or all would drop the same units of different prompts."""
        return seed + (self.rank << 53)
