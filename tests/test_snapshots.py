"""Snapshots of torch's and bitsandbytes' AdamW."""

import pytest
import torch
from bitsandbytes.optim import PagedAdamW32bit
from torch import Tensor
from torch.optim import AdamW, Optimizer

from llamarec_cli.snapshots import restore_snapshot, take_snapshot


def parameters() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {"a": torch.nn.Parameter(torch.randn(8, 16)), "b": torch.nn.Parameter(torch.randn(400, 300))}


def step(tensors: dict[str, Tensor], optimiser: Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    for tensor in tensors.values():
        tensor.grad = torch.randn_like(tensor)
    optimiser.step()


# bitsandbytes says on a CPU that nothing is paged there.
@pytest.mark.filterwarnings("ignore:Paged optimizers")
@pytest.mark.parametrize("kind", [AdamW, PagedAdamW32bit])
@pytest.mark.parametrize("taken", [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(kind: type[Optimizer], taken: int) -> None:
    whole = parameters()
    optimiser = kind(whole.values(), lr=0.1)  # type: ignore[call-arg]
    for seed in range(taken):
        step(whole, optimiser, seed)
    saved = take_snapshot(whole, optimiser)
    resumed = {name: torch.nn.Parameter(torch.zeros_like(tensor)) for name, tensor in whole.items()}
    other = kind(resumed.values(), lr=0.1)  # type: ignore[call-arg]
    restore_snapshot(saved, resumed, other)
    for seed in (7, 8):
        step(whole, optimiser, seed)
        step(resumed, other, seed)
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


@pytest.mark.filterwarnings("ignore:Paged optimizers")
def test_a_snapshot_of_one_library_is_restored_by_the_other() -> None:
    ours = parameters()
    optimiser = PagedAdamW32bit(ours.values(), lr=0.1, weight_decay=0.0)
    step(ours, optimiser, 1)
    theirs = parameters()
    other = AdamW(theirs.values(), lr=0.1, weight_decay=0.0)
    restore_snapshot(take_snapshot(ours, optimiser), theirs, other)
    step(ours, optimiser, 2)
    step(theirs, other, 2)
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], atol=1e-5), name
