"""The output head: what an architecture does to its logits besides the matrix product, and a check that this is all.

Some architectures scale their logits or soft-cap them, and say so in their configuration. Whether a model does anything
else is found out once, at load, by a forward pass.

Shapes: B sequences, L tokens, D hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.catalogue import OTHER_BASE_HINT
from llamarec_cli.language_model.forward import transformer_of

# Relative. Rounding of bfloat16 over a few layers stays below it; an unsupported head deviates by more.
_TOLERANCE = 0.02
# Logits well beyond any soft cap.
_LARGE = 300.0


@dataclass(frozen=True)
class LogitTransform:
    """Map from the products of hidden states and output head to logits.

    Attributes:
        scale: Factor on the products.
        cap: Soft cap: logits become `cap * tanh(logits / cap)`; None for no cap.
    """

    scale: float = 1.0
    cap: float | None = None

    def __call__(self, products: Tensor) -> Tensor:
        """Return the logits, in the shape of the products."""
        scaled = products if self.scale == 1 else products * self.scale
        return scaled if self.cap is None else self.cap * torch.tanh(scaled / self.cap)


IDENTITY = LogitTransform()


def logit_transform(model: Any) -> LogitTransform:
    """Return the transform that a model's configuration describes.

    Args:
        model: A transformers causal language model.
    """
    config = model.config
    scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None) or getattr(config, "logits_soft_cap", None)
    return LogitTransform(float(scale), None if cap is None else float(cap))


@torch.no_grad()
def check_head(model: Any) -> None:
    """Raise unless a model is causal and its logits are `logit_transform` of hidden states times head.

    Args:
        model: A transformers causal language model in evaluation mode.

    Raises:
        LlamaRecError: The model does something else to its hidden states or logits, or a token attends to later ones.
    """
    head = model.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        _refuse("has a bias in its output head, which is not supported")
    # Two sequences that differ in their last token alone: in a causal model all earlier hidden states are equal.
    ids_BL = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]], device=model.device) % len(head.weight)
    hidden_BLD = transformer_of(model)(input_ids=ids_BL, use_cache=False).last_hidden_state
    if _differ(hidden_BLD[0, :-1], hidden_BLD[1, :-1]):
        _refuse("is not causal: its tokens attend to later tokens")
    head_inputs: list[Tensor] = []
    probe_V = torch.linspace(-_LARGE, _LARGE, len(head.weight), device=model.device, dtype=hidden_BLD.dtype)

    def replace_products(_: Any, inputs: tuple[Tensor, ...], __: Tensor) -> Tensor:
        head_inputs.append(inputs[0])
        return probe_V.expand(*inputs[0].shape[:-1], -1)

    hook = head.register_forward_hook(replace_products)
    try:
        logits_BLV = model(input_ids=ids_BL, use_cache=False).logits
    finally:
        hook.remove()
    if len(head_inputs) != 1 or head_inputs[0].shape != hidden_BLD.shape or _differ(head_inputs[0], hidden_BLD):
        _refuse("transforms its hidden states before the output head in a way that is not supported")
    if logits_BLV.shape[-1] != len(probe_V) or _differ(logits_BLV[0, -1], logit_transform(model)(probe_V.float())):
        _refuse("transforms its logits after the output head in a way that is not supported")


def _differ(one: Tensor, other: Tensor) -> bool:
    largest = float(other.float().abs().max())
    return float((one.float() - other.float()).abs().max()) > _TOLERANCE * max(largest, 1e-6)


def _refuse(what: str) -> None:
    raise LlamaRecError(f"This base model {what}.", OTHER_BASE_HINT)
