"""One forward pass over several prompts: hidden states, no logits, and no padding where the architecture allows it.

Prompts of a pass lie one behind the other, each at its own positions, and attend each to itself alone: see `attention`.

Shapes: B prompts, L tokens of one, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.attention import OWN, PromptLengths

# Architectures whose layers hand on to attention what they themselves do not know. Any other is padded.
_WITHOUT_PADDING = ("llama", "mistral", "qwen2")


def position_limit(model: Any) -> int | None:
    """Return how many tokens a model can tell the places of; None for any number."""
    limit = getattr(model.config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def transformer_of(model: Any) -> Any:
    """Return the model without its head: what maps token ids to hidden states."""
    return getattr(model, model.base_model_prefix)


def head_of(model: Any) -> Tensor:
    """Return the weight of the output head, V x D."""
    weight: Tensor = model.get_output_embeddings().weight
    return weight


def check_vocabulary(model: Any, tokenizer: Any) -> None:
    """Raise if a tokenizer writes tokens that a model does not have.

    Raises:
        LlamaRecError: It does: the two belong to different models.
    """
    rows = len(model.get_input_embeddings().weight)
    if tokenizer.vocab_size > rows:
        raise LlamaRecError(
            f"The tokenizer of this base model has {tokenizer.vocab_size} tokens, and the model only {rows}.",
            "Copy its own tokenizer beside it, or choose another base model with --base.",
        )


def hidden_states(model: Any, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Return the hidden states of each of several prompts, L x D each.

    Args:
        model: A transformers causal language model; its transformer is found under `base_model_prefix`.
        prompts: Token ids of each; none is empty.
    """
    if len(prompts) > 1 and _needs_no_padding(model.config):
        return _behind_each_other(model, prompts)
    longest = max(map(len, prompts))
    # Causal attention never looks to the right, so what the padding holds does not matter.
    ids_BL = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=model.device)
    hidden_BLD = transformer_of(model)(input_ids=ids_BL, use_cache=False).last_hidden_state
    return [hidden_LD[: len(prompt)] for hidden_LD, prompt in zip(hidden_BLD, prompts, strict=True)]


def _needs_no_padding(config: Any) -> bool:
    # A window is a mask over all tokens of a pass, larger than what padding would cost.
    windowed = getattr(config, "sliding_window", None) is not None
    return config._attn_implementation == OWN and config.model_type in _WITHOUT_PADDING and not windowed


def _behind_each_other(model: Any, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    lengths = PromptLengths([len(prompt) for prompt in prompts])
    ids = torch.tensor([[token for prompt in prompts for token in prompt]], device=model.device)
    positions = torch.tensor([[place for length in lengths.tokens for place in range(length)]], device=model.device)
    hidden = transformer_of(model)(
        input_ids=ids,
        position_ids=positions,
        # Says that nothing is padding; without it transformers would build a mask of all tokens by all tokens.
        attention_mask=torch.ones_like(ids),
        prompt_lengths=lengths,
        use_cache=False,
    ).last_hidden_state[0]
    if not lengths.seen:
        raise RuntimeError(f"{model.config.model_type} does not tell attention where prompts end")
    return list(torch.split(hidden, lengths.tokens))


def group_by_length(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Divide prompts into forward passes that hold at most so many tokens, as if each were as long as the longest.

    Prompts of like lengths come together, so that little is padded where an architecture needs padding; the longest
    come first, so that a budget that is too large for the memory is noticed at once.

    Args:
        lengths: Tokens of each prompt.
        tokens: Rows times the longest row, at most; a prompt that is longer by itself is a pass of its own.

    Returns:
        Indices of the prompts of each pass.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
