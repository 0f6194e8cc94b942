"""The linear recurrence of LRURec over packed sequences: h_t = decay * h_{t-1} + u_t.

Shapes: P real positions of all sequences, H hidden channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def diagonal_scan(u_PH: Tensor, decay_H: Tensor, step_sizes: list[int]) -> Tensor:
    """Compute h_t = decay * h_{t-1} + u_t for packed sequences, h_{-1} = 0.

    Each time step is one fused multiply-add over all sequences that reach it. That takes P x H multiplications and
    touches each element once; a parallel scan touches it log2(steps) times. The autograd graph has a single node.

    Args:
        u_PH: Complex inputs in packed order; overwritten if gradients are disabled.
        decay_H: Complex decay of each channel.
        step_sizes: Number of sequences that reach each time step; non-increasing; sums to P.

    Returns:
        Complex hidden states in packed order, P x H.
    """
    if not torch.is_grad_enabled():
        _scan(u_PH, decay_H, step_sizes, into=u_PH)
        return u_PH
    result: Tensor = _DiagonalScan.apply(u_PH, decay_H, step_sizes)  # type: ignore[no-untyped-call]
    return result


def _scan(u_PH: Tensor, decay_H: Tensor, step_sizes: list[int], into: Tensor) -> None:
    """Compute all steps but the first, which `into` must hold already."""
    previous, begin = 0, step_sizes[0]
    for size in step_sizes[1:]:
        now = slice(begin, begin + size)
        torch.addcmul(u_PH[now], into[previous : previous + size], decay_H, out=into[now])
        previous, begin = begin, begin + size


class _DiagonalScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u_PH: Tensor, decay_H: Tensor, step_sizes: list[int]) -> Tensor:
        h_PH = torch.empty_like(u_PH)
        h_PH[: step_sizes[0]] = u_PH[: step_sizes[0]]
        _scan(u_PH, decay_H, step_sizes, into=h_PH)
        ctx.save_for_backward(h_PH, decay_H)
        ctx.step_sizes = step_sizes
        return h_PH

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        h_PH, decay_H = ctx.saved_tensors
        step_sizes: list[int] = ctx.step_sizes
        g_PH = gradients[0].clone()
        conjugate_H = decay_H.conj().resolve_conj()
        # The same recurrence backwards: g_t += conj(decay) * g_{t+1}.
        begin = len(h_PH)
        for size, before in zip(reversed(step_sizes[1:]), reversed(step_sizes[:-1]), strict=True):
            begin -= size
            previous = begin - before
            g_PH[previous : previous + size].addcmul_(g_PH[begin : begin + size], conjugate_H)
        # The gradient of the decay sums conj(h_{t-1}) * g_t. The predecessor of a position in step t lies
        # step_sizes[t - 1] positions before it.
        sizes = torch.tensor(step_sizes, device=h_PH.device)
        before_P = torch.arange(step_sizes[0], len(h_PH), device=h_PH.device)
        before_P -= torch.repeat_interleave(sizes[:-1], sizes[1:])
        decay_gradient_H = torch.sum(h_PH[before_P].conj() * g_PH[step_sizes[0] :], dim=0)
        return g_PH, decay_gradient_H, None
