"""Joining the processes that `accelerate launch` or `torchrun` started, one a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch

from llamarec_cli.strategies.verbalizer.worker_group import Processes

# The others wait while the main process fetches a model, trains a retriever or validates; torch's ten minutes would
# end that.
_PATIENCE = timedelta(days=7)


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """Yield this process among those that were started together, as the launcher's variables tell."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    on_cuda = torch.cuda.is_available()
    if on_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if on_cuda else "gloo", timeout=_PATIENCE)
    try:
        yield Processes(torch.distributed.get_rank(), count)
    finally:
        leave_processes()


def leave_processes() -> None:
    """Leave the others, so that they can end while the main process goes on alone."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
