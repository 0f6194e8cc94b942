"""How prompts attend: on a CPU in blocks of queries, and several prompts of one forward pass each to itself alone.

Blocks are plain matrix products, which a CPU computes faster than torch's fused kernel: on two cores with AVX512-BF16 a
prompt of 660 tokens takes the kernel 6 ms a layer, and the blocks 4. A block of queries meets the keys up to its own
end alone, so that about half of the products, which causality forbids, are never computed.

Prompts of different lengths lie one behind the other, and none is padded; `prompt_lengths`, an argument of the forward
pass that transformers hands on, tells where each ends. A GPU computes them in one kernel for sequences of any lengths.

Registered with transformers under `OWN`, so that any architecture that asks it for attention may use this.

Shapes: B prompts, H heads, G heads of keys and values (H is a multiple), L queries, T keys, D size of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from llamarec_cli.language_model.fast_paths import takes_short_cuts

# The name under which transformers knows this attention.
OWN = "llamarec"
_ROWS = 64


def use_own_attention(model: Any) -> None:
    """Let a model attend as this module does, if it would use torch's fused kernel, and is of a known architecture.

    Models that need something else, such as a cap on their scores, say so by another default and are left alone.

    Args:
        model: A transformers causal language model.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    if model.config._attn_implementation != "sdpa" or not takes_short_cuts(model.config):
        return
    AttentionInterface.register(OWN, _attention)
    AttentionMaskInterface.register(OWN, _mask)
    model.set_attn_implementation(OWN)


def attend_in_blocks(
    query_BHLD: Tensor, key_BGTD: Tensor, value_BGTD: Tensor, scaling: float, mask_BLT: Tensor | None = None
) -> Tensor:
    """Return the attention's output, B x L x H x D. The queries belong to the last L of the T positions.

    Args:
        query_BHLD: Queries.
        key_BGTD: Keys.
        value_BGTD: Values.
        scaling: What the scores are multiplied by.
        mask_BLT: What is added to them; it may forbid more than causality, which holds in any case.
    """
    heads, length = query_BHLD.shape[1:3]
    prompts, groups, total, width = key_BGTD.shape
    before = total - length
    query = (query_BHLD * scaling).reshape(prompts, groups, heads // groups, length, width)
    key = key_BGTD.transpose(2, 3)
    # Some architectures have values of another width than keys.
    output = torch.empty(prompts, length, groups, heads // groups, value_BGTD.shape[3], dtype=query.dtype)
    later_RR = torch.full((_ROWS, _ROWS), -torch.inf, dtype=query.dtype).triu(1)
    # Blocks end where the number of keys is a multiple of their size, which vector instructions divide evenly.
    ends = [*range(_ROWS - before % _ROWS, length, _ROWS), length]
    for begin, end in pairwise([0, *ends]):
        rows, seen = end - begin, before + end
        scores = (query[:, :, :, begin:end].reshape(prompts, groups, -1, width) @ key[..., :seen]).view(
            prompts, groups, -1, rows, seen
        )
        scores[..., before + begin :] += later_RR[:rows, :rows]
        if mask_BLT is not None:
            scores += mask_BLT[:, None, None, begin:end, :seen]
        weights = torch.softmax(scores, dim=-1).view(prompts, groups, -1, seen)
        blended = (weights @ value_BGTD[:, :, :seen]).view(prompts, groups, -1, rows, value_BGTD.shape[3])
        output[:, begin:end] = blended.permute(0, 3, 1, 2, 4)
    return output.view(prompts, length, heads, -1)


@dataclass
class PromptLengths:
    """How many tokens each of the prompts has that lie behind each other in one forward pass, all of them new.

    Attributes:
        tokens: Of each.
        seen: Whether attention was told of them. Were it not, prompts would see each other, and nothing else would
            tell.
    """

    tokens: list[int]
    seen: bool = False


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
    """Return the attention's output, B x L x H x D, and no weights, as transformers wants it.

    With `prompt_lengths`, B is 1, nothing is known from before, and causality is the only mask.
    """
    if prompt_lengths is None:
        return _attend(module, query, key, value, attention_mask, **options), None
    assert attention_mask is None
    assert query.shape[2] == key.shape[2] == sum(prompt_lengths.tokens)
    prompt_lengths.seen = True
    if query.device.type == "cuda" and query.dtype in (torch.bfloat16, torch.float16):
        return attend_by_one_kernel(query, key, value, prompt_lengths.tokens, options.get("scaling")), None
    parts = zip(*(torch.split(tensor, prompt_lengths.tokens, dim=2) for tensor in (query, key, value)), strict=True)
    return torch.cat([_attend(module, q, k, v, None, **options) for q, k, v in parts], dim=1), None


def attend_by_one_kernel(
    query_1HLD: Tensor, key_1GLD: Tensor, value_1GLD: Tensor, lengths: Sequence[int], scaling: float | None
) -> Tensor:
    """Return the attention's output, 1 x L x H x D, of prompts behind each other, by torch's kernel for a GPU.

    Args:
        query_1HLD: Queries, in 16 bits.
        key_1GLD: Keys.
        value_1GLD: Values.
        lengths: Tokens of each prompt.
        scaling: What the scores are multiplied by; the root of 1/D by default.
    """
    from torch.nn.attention.varlen import varlen_attn

    ends = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=query_1HLD.device)
    query, key, value = (tensor[0].transpose(0, 1).contiguous() for tensor in (query_1HLD, key_1GLD, value_1GLD))
    longest = max(lengths)
    causal = (-1, 0)
    output = varlen_attn(
        query, key, value, ends, ends, longest, longest, scale=scaling, window_size=causal, enable_gqa=True
    )
    assert isinstance(output, Tensor)  # without the auxiliary results that were not asked for
    return output.unsqueeze(0)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> Tensor:
    """Return the attention's output: blocks where a CPU reads a prompt; torch's kernel to train, to write, on a GPU."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    # transformers' own masks are boolean; additive ones come from this package, are causal, and alike for all heads.
    masked = attention_mask is not None and (attention_mask.dtype == torch.bool or attention_mask.shape[1] > 1)
    reads = query.shape[2] > 1 and not torch.is_grad_enabled() and query.device.type == "cpu"
    if masked or not reads or options.get("position_bias") is not None:
        output: Tensor = sdpa_attention_forward(module, query, key, value, attention_mask, **options)[0]
        return output
    scaling = options.get("scaling") or query.shape[-1] ** -0.5
    return attend_in_blocks(query, key, value, scaling, None if attention_mask is None else attention_mask[:, 0])


def _mask(**asked: Any) -> Tensor | None:
    """Return transformers' mask, or None where blocks mask by causality alone, also behind keys known already."""
    from transformers.masking_utils import causal_mask_function, sdpa_mask

    plain = asked.get("mask_function") is causal_mask_function and asked.get("local_size") is None
    on_cpu = torch.device(asked["device"]).type == "cpu"
    if on_cpu and plain and asked.get("attention_mask") is None and not torch.is_grad_enabled():
        return None
    mask: Tensor | None = sdpa_mask(**asked)
    return mask
