"""Linear layers with weights prepacked for oneDNN.

torch passes oneDNN a weight in its plain layout, and oneDNN repacks it in every call, whatever the number of tokens.
Packed once at load, the layer computes the same products: 8 % faster for 600 tokens, a quarter faster for few.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from llamarec_cli.language_model.base_models import compute_dtype
from llamarec_cli.language_model.fast_paths import supports_fast_paths

# Number of input rows that oneDNN optimises the layout for; any number works. A prompt has hundreds.
_ROWS = 512


class PackedLinear(nn.Module):
    """A linear layer in bfloat16 on a CPU, for inference only.

    Args:
        linear: The layer to replace.

    Attributes:
        in_features: Width of the input.
        out_features: Width of the output.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, rows: Tensor) -> Tensor:
        """Return the output, ... x `out_features`, for an input of ... x `in_features`."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._weight, self._bias, "none", [], "")
        return result


def pack_linears(model: Any) -> None:
    """Replace the linear layers of a model's transformer by packed ones, in place, on CPUs that compute in bfloat16.

    The output head is left alone, since only a few of its rows are read; so are quantised layers.

    Args:
        model: A transformers causal language model in evaluation mode, with any adapter merged.
    """
    if compute_dtype(model.device) is not torch.bfloat16 or model.device.type != "cpu":
        return
    if not supports_fast_paths(model.config):  # the architecture may access the weights directly
        return
    transformer = getattr(model, model.base_model_prefix)
    # Holds no reference to the linear layers: each is freed once it is packed, so that memory never holds two models.
    parents = [module for module in transformer.modules() if not isinstance(module, nn.Linear)]
    for parent in parents:
        for name, child in parent.named_children():
            # Exact type: subclasses are quantised layers or carry an adapter.
            if type(child) is nn.Linear and child.weight.dtype == torch.bfloat16:
                setattr(parent, name, PackedLinear(child))
