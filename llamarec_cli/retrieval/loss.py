"""Softmax cross-entropy over the whole catalogue, without a matrix of positions x items."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Number of logits computed at once; they fit into a CPU's caches.
_LOGITS = 800_000


def catalogue_cross_entropy(x_PD: Tensor, embedding_VD: Tensor, bias_V: Tensor, targets_P: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of the targets under softmax(x E^T + b) (paper, equation 1).

    Gradients are computed together with the loss, a few rows at a time, while the logits are still in the cache.

    Args:
        x_PD: Hidden states, P x D.
        embedding_VD: Item embeddings, V x D.
        bias_V: Item biases.
        targets_P: Target items; int64.

    Returns:
        A scalar.
    """
    result: Tensor = _CatalogueCrossEntropy.apply(x_PD, embedding_VD, bias_V, targets_P)  # type: ignore[no-untyped-call]
    return result


class _CatalogueCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_PD: Tensor, embedding_VD: Tensor, bias_V: Tensor, targets_P: Tensor) -> Tensor:
        x_gradient = torch.empty_like(x_PD)
        embedding_gradient = torch.zeros_like(embedding_VD)
        bias_gradient = torch.zeros_like(bias_V)
        total = x_PD.new_zeros(())
        rows_at_once = max(1, _LOGITS // len(bias_V))
        for begin in range(0, len(x_PD), rows_at_once):
            rows = slice(begin, begin + rows_at_once)
            targets = targets_P[rows].unsqueeze(1)
            logits = torch.addmm(bias_V, x_PD[rows], embedding_VD.T)
            logits -= logits.amax(dim=1, keepdim=True)
            total -= logits.gather(1, targets).sum()
            # In place: logits, exponentials, probabilities, gradient.
            exponentials = logits.exp_()
            sums = exponentials.sum(dim=1, keepdim=True)
            total += sums.log().sum()
            gradient = exponentials.div_(sums)
            gradient.scatter_add_(1, targets, gradient.new_full(targets.shape, -1.0))
            torch.mm(gradient, embedding_VD, out=x_gradient[rows])
            embedding_gradient.addmm_(gradient.T, x_PD[rows])
            bias_gradient += gradient.sum(dim=0)
        count = len(x_PD)
        ctx.save_for_backward(x_gradient / count, embedding_gradient / count, bias_gradient / count)
        return total / count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x_gradient, embedding_gradient, bias_gradient = ctx.saved_tensors
        scale = gradients[0]
        return x_gradient * scale, embedding_gradient * scale, bias_gradient * scale, None
