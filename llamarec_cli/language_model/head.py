"""From hidden states to logits: what an architecture does besides the product with its head, and whether that is all.

Some architectures multiply their logits by a number, or bend them so that none is beyond a cap. Both are told by the
configuration. Whether a model does that and nothing else is seen once, when it is loaded, by its own forward pass.

Shapes: D hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.forward import transformer_of

# Rounding of bfloat16 over a few layers; what an unknown head does is larger.
_TOLERANCE = 0.02
# Products beyond any cap.
_LARGE = 300.0


@dataclass(frozen=True)
class LogitShape:
    """What becomes of the products of hidden states and head.

    Attributes:
        scale: What they are multiplied by.
        cap: What no logit exceeds: above it they are bent by a hyperbolic tangent; None for no cap.
    """

    scale: float = 1.0
    cap: float | None = None

    def __call__(self, products: Tensor) -> Tensor:
        """Return the logits, of the same shape."""
        scaled = products if self.scale == 1 else products * self.scale
        return scaled if self.cap is None else self.cap * torch.tanh(scaled / self.cap)


PLAIN = LogitShape()


def logit_shape(model: Any) -> LogitShape:
    """Return what a model's configuration tells of its logits.

    Args:
        model: A transformers causal language model.
    """
    config = model.config
    scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None) or getattr(config, "logits_soft_cap", None)
    return LogitShape(float(scale), None if cap is None else float(cap))


@torch.no_grad()
def check_head(model: Any) -> None:
    """Raise unless a model's logits are what `logit_shape` makes of the products of its hidden states and its head.

    Args:
        model: A transformers causal language model in evaluation mode.

    Raises:
        LlamaRecError: Something else is done to the hidden states or to the logits, or a token sees those behind it.
    """
    head = model.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        _refuse("has an output head with a bias, which is not read here")
    # They differ in their last token alone, which no other may see.
    ids_BL = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]], device=model.device) % len(head.weight)
    hidden_BLD = transformer_of(model)(input_ids=ids_BL, use_cache=False).last_hidden_state
    if _differ(hidden_BLD[0, :-1], hidden_BLD[1, :-1]):
        _refuse("lets a token see what stands behind it, so that it cannot continue a text")
    met: list[Tensor] = []
    planted_V = torch.linspace(-_LARGE, _LARGE, len(head.weight), device=model.device, dtype=hidden_BLD.dtype)

    def plant(_: Any, given: tuple[Tensor, ...], __: Tensor) -> Tensor:
        met.append(given[0])
        return planted_V.expand(*given[0].shape[:-1], -1)

    hook = head.register_forward_hook(plant)
    try:
        logits_BLV = model(input_ids=ids_BL, use_cache=False).logits
    finally:
        hook.remove()
    if len(met) != 1 or met[0].shape != hidden_BLD.shape or _differ(met[0], hidden_BLD):
        _refuse("does more to its hidden states before the output head than is read here")
    if logits_BLV.shape[-1] != len(planted_V) or _differ(logits_BLV[0, -1], logit_shape(model)(planted_V.float())):
        _refuse("does more to its logits behind the output head than is read here")


def _differ(one: Tensor, other: Tensor) -> bool:
    largest = float(other.float().abs().max())
    return float((one.float() - other.float()).abs().max()) > _TOLERANCE * max(largest, 1e-6)


def _refuse(what: str) -> None:
    raise LlamaRecError(f"This base model {what}.", "Choose another base model with --base.")
