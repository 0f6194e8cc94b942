"""Data-parallel training: a group of processes, one a GPU, each of which computes its shard of every batch.

Gradients are summed over the group, so that every process takes the same optimiser step as a single process would.
Every process runs the same program. The main process alone validates, writes and reports; the others wait for it at
`WorkerGroup.main_first` and `WorkerGroup.broadcast`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

# Workers wait while the main process fetches a model, trains a retriever or validates; torch's default of ten minutes
# would end them.
_TIMEOUT = timedelta(days=7)


@dataclass(frozen=True)
class WorkerGroup:
    """This process in its group; a group of one needs no communication.

    Attributes:
        rank: Rank of this process, from 0.
        world_size: Number of processes; if above 1, they have joined torch's default process group.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the main process."""
        return self.rank == 0

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block on the main process first, and then on the workers.

        The main process never waits here, and releases the workers when its block ends. The workers wait for it, which
        may take hours, and then find in the store whatever the block creates if it is missing. If the block fails on
        the main process, that leaves the group, and the wait of the workers fails as well.
        """
        if not self.is_main:
            self.broadcast(None)
        yield
        if self.is_main:
            self.broadcast(None)

    def broadcast(self, value: T) -> T:
        """Return the value given by the main process; the workers wait for it."""
        if self.world_size == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values, src=0)
        return values[0]

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's shard of a batch; shard sizes differ by one at most."""
        return items[self.rank :: self.world_size]

    def all_reduce(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor, in place, by its sum over the group; every process waits for all others."""
        if self.world_size > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)

    def dropout_seed(self, seed: int) -> int:
        """Return a different seed for each process, so that they do not drop the same units of different prompts."""
        return seed + (self.rank << 53)

    def leave(self) -> None:
        """Leave the group, so that the workers can exit while the main process continues alone."""
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextmanager
def join_worker_group() -> Iterator[WorkerGroup]:
    """Join the processes started by `accelerate launch` or `torchrun`, and leave them at the end of the block.

    The launcher sets RANK, LOCAL_RANK and WORLD_SIZE in the environment. Without them the group has one process.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield WorkerGroup()
        return
    on_cuda = torch.cuda.is_available()
    if on_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if on_cuda else "gloo", timeout=_TIMEOUT)
    workers = WorkerGroup(torch.distributed.get_rank(), world_size)
    try:
        yield workers
    finally:
        workers.leave()
