"""Attention kernels: blockwise on a CPU, and variable-length sequences packed into one forward pass.

On a CPU, plain matrix products over blocks of queries are faster than torch's fused kernel: on two cores with
AVX512-BF16 a prompt of 660 tokens takes 4 ms a layer instead of 6. A block of queries attends to the keys up to its own
end, which skips about half of the products that causality would mask.

Prompts of different lengths are packed one behind the other without padding. `prompt_lengths`, an argument of the
forward pass that transformers passes down to attention, holds their lengths. A GPU attends to all of them in one
variable-length kernel.

The implementation is registered with transformers as `ATTENTION_NAME`, so that any architecture can use it.

Shapes: B prompts, H query heads, G key-value heads (H is a multiple), L queries, T keys, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from llamarec_cli.language_model.fast_paths import supports_fast_paths

# Name of this attention implementation in transformers' registry.
ATTENTION_NAME = "llamarec"
_BLOCK_ROWS = 64


def use_block_attention(model: Any) -> None:
    """Switch a model to this attention implementation, if its architecture supports it and defaults to SDPA.

    Models with special needs, such as soft-capped attention scores, default to another implementation and keep it.

    Args:
        model: A transformers causal language model.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    if model.config._attn_implementation != "sdpa" or not supports_fast_paths(model.config):
        return
    AttentionInterface.register(ATTENTION_NAME, _attention)
    AttentionMaskInterface.register(ATTENTION_NAME, _mask)
    model.set_attn_implementation(ATTENTION_NAME)


def block_attention(
    query_BHLD: Tensor, key_BGTD: Tensor, value_BGTD: Tensor, scaling: float, mask_BLT: Tensor | None = None
) -> Tensor:
    """Return the output of causal attention, B x L x H x D. The queries are the last L of the T positions.

    Args:
        query_BHLD: Queries.
        key_BGTD: Keys.
        value_BGTD: Values.
        scaling: Factor on the scores.
        mask_BLT: Additive mask, on top of causality.
    """
    heads, length = query_BHLD.shape[1:3]
    prompts, groups, total, width = key_BGTD.shape
    past = total - length
    query = (query_BHLD * scaling).reshape(prompts, groups, heads // groups, length, width)
    key = key_BGTD.transpose(2, 3)
    # Some architectures have values of another width than keys.
    output = torch.empty(prompts, length, groups, heads // groups, value_BGTD.shape[3], dtype=query.dtype)
    causal_RR = torch.full((_BLOCK_ROWS, _BLOCK_ROWS), -torch.inf, dtype=query.dtype).triu(1)
    # Blocks end where the number of keys is a multiple of their size, which vector instructions divide evenly.
    ends = [*range(_BLOCK_ROWS - past % _BLOCK_ROWS, length, _BLOCK_ROWS), length]
    for begin, end in pairwise([0, *ends]):
        rows, keys = end - begin, past + end
        scores = (query[:, :, :, begin:end].reshape(prompts, groups, -1, width) @ key[..., :keys]).view(
            prompts, groups, -1, rows, keys
        )
        scores[..., past + begin :] += causal_RR[:rows, :rows]
        if mask_BLT is not None:
            scores += mask_BLT[:, None, None, begin:end, :keys]
        weights = torch.softmax(scores, dim=-1).view(prompts, groups, -1, keys)
        block = (weights @ value_BGTD[:, :, :keys]).view(prompts, groups, -1, rows, value_BGTD.shape[3])
        output[:, begin:end] = block.permute(0, 3, 1, 2, 4)
    return output.view(prompts, length, heads, -1)


@dataclass
class PromptLengths:
    """Lengths of the prompts that are packed into one forward pass, none of them cached.

    Attributes:
        tokens: Number of tokens of each prompt.
        applied: Whether attention received the lengths. Without them prompts would silently attend to each other.
    """

    tokens: list[int]
    applied: bool = False


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    prompt_lengths: PromptLengths | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Return the attention output, B x L x H x D, and None for the weights: transformers' attention interface.

    With `prompt_lengths`, B is 1, no keys are cached, and causality is the only mask.
    """
    if prompt_lengths is None:
        return _attend(module, query, key, value, attention_mask, **options), None
    assert attention_mask is None
    assert query.shape[2] == key.shape[2] == sum(prompt_lengths.tokens)
    prompt_lengths.applied = True
    if query.device.type == "cuda" and query.dtype in (torch.bfloat16, torch.float16):
        return varlen_attention(query, key, value, prompt_lengths.tokens, options.get("scaling")), None
    parts = zip(*(torch.split(tensor, prompt_lengths.tokens, dim=2) for tensor in (query, key, value)), strict=True)
    return torch.cat([_attend(module, q, k, v, None, **options) for q, k, v in parts], dim=1), None


def varlen_attention(
    query_1HLD: Tensor, key_1GLD: Tensor, value_1GLD: Tensor, lengths: Sequence[int], scaling: float | None
) -> Tensor:
    """Return the causal attention output of packed prompts, 1 x L x H x D, by torch's variable-length GPU kernel.

    Args:
        query_1HLD: Queries, in 16 bits.
        key_1GLD: Keys.
        value_1GLD: Values.
        lengths: Tokens of each prompt.
        scaling: Factor on the scores; None for 1 / sqrt(D).
    """
    from torch.nn.attention.varlen import varlen_attn

    ends = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=query_1HLD.device)
    query, key, value = (tensor[0].transpose(0, 1).contiguous() for tensor in (query_1HLD, key_1GLD, value_1GLD))
    longest = max(lengths)
    causal = (-1, 0)
    output = varlen_attn(
        query, key, value, ends, ends, longest, longest, scale=scaling, window_size=causal, enable_gqa=True
    )
    assert isinstance(output, Tensor)  # a tuple only if auxiliary results are requested
    return output.unsqueeze(0)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> Tensor:
    """Return the attention output: blockwise for prompts on a CPU; by SDPA for training, decoding and on a GPU."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    # transformers' masks are boolean. This package's are additive, causal, and the same for all heads.
    other_mask = attention_mask is not None and (attention_mask.dtype == torch.bool or attention_mask.shape[1] > 1)
    prompt_on_cpu = query.shape[2] > 1 and not torch.is_grad_enabled() and query.device.type == "cpu"
    if other_mask or not prompt_on_cpu or options.get("position_bias") is not None:
        output: Tensor = sdpa_attention_forward(module, query, key, value, attention_mask, **options)[0]
        return output
    scaling = options.get("scaling") or query.shape[-1] ** -0.5
    return block_attention(query, key, value, scaling, None if attention_mask is None else attention_mask[:, 0])


def _mask(**arguments: Any) -> Tensor | None:
    """Return transformers' mask; None where causality is the only mask and blocks apply it, also behind cached keys."""
    from transformers.masking_utils import causal_mask_function, sdpa_mask

    causal = arguments.get("mask_function") is causal_mask_function and arguments.get("local_size") is None
    on_cpu = torch.device(arguments["device"]).type == "cpu"
    if on_cpu and causal and arguments.get("attention_mask") is None and not torch.is_grad_enabled():
        return None
    mask: Tensor | None = sdpa_mask(**arguments)
    return mask
