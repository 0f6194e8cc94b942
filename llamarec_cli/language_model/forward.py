"""One forward pass over several prompts: hidden states without logits, and without padding where possible.

The prompts of a pass are packed one behind the other, each with its own positions, and attend only to themselves: see
`attention`.

Shapes: B prompts, L tokens of one, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.attention import ATTENTION_NAME, PromptLengths

# Architectures whose layers pass unknown arguments down to attention. Prompts of any other are padded.
_PACKABLE = ("llama", "mistral", "qwen2")


def position_limit(model: Any) -> int | None:
    """Return the maximum sequence length of a model; None for no limit."""
    limit = getattr(model.config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def transformer_of(model: Any) -> Any:
    """Return the model without its output head, which maps token ids to hidden states."""
    return getattr(model, model.base_model_prefix)


def head_of(model: Any) -> Tensor:
    """Return the weight of the output head, V x D."""
    weight: Tensor = model.get_output_embeddings().weight
    return weight


def check_vocabulary(model: Any, tokenizer: Any) -> None:
    """Raise if a tokenizer has tokens that a model has no embeddings for.

    Raises:
        LlamaRecError: The tokenizer has more tokens than the model: they belong to different models.
    """
    rows = len(model.get_input_embeddings().weight)
    if tokenizer.vocab_size > rows:
        raise LlamaRecError(
            f"The tokenizer of this base model has {tokenizer.vocab_size} tokens, and the model only {rows}.",
            "Copy the model's own tokenizer into its folder, or choose another base model with `base`.",
        )


def hidden_states(model: Any, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Return the hidden states of each of several prompts, L x D each.

    Args:
        model: A transformers causal language model.
        prompts: Token ids of each prompt; none is empty.
    """
    if len(prompts) > 1 and _is_packable(model.config):
        return _packed_hidden_states(model, prompts)
    longest = max(map(len, prompts))
    # Attention is causal, so tokens of padding at the right do not affect the prompt.
    ids_BL = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=model.device)
    hidden_BLD = transformer_of(model)(input_ids=ids_BL, use_cache=False).last_hidden_state
    return [hidden_LD[: len(prompt)] for hidden_LD, prompt in zip(hidden_BLD, prompts, strict=True)]


def _is_packable(config: Any) -> bool:
    # A sliding window needs a mask over all tokens of the pass, which costs more than padding.
    windowed = getattr(config, "sliding_window", None) is not None
    return config._attn_implementation == ATTENTION_NAME and config.model_type in _PACKABLE and not windowed


def _packed_hidden_states(model: Any, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    lengths = PromptLengths([len(prompt) for prompt in prompts])
    ids = torch.tensor([[token for prompt in prompts for token in prompt]], device=model.device)
    positions = torch.tensor([[place for length in lengths.tokens for place in range(length)]], device=model.device)
    hidden = transformer_of(model)(
        input_ids=ids,
        position_ids=positions,
        # Nothing is padding. Without this mask transformers would build one of all tokens by all tokens.
        attention_mask=torch.ones_like(ids),
        prompt_lengths=lengths,
        use_cache=False,
    ).last_hidden_state[0]
    if not lengths.applied:
        raise RuntimeError(f"{model.config.model_type} does not pass prompt lengths down to attention")
    return list(torch.split(hidden, lengths.tokens))


def group_by_length(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Group prompts of similar length into batches of at most so many tokens, padding included.

    The longest prompts come first, so that a batch size that exceeds memory fails at once.

    Args:
        lengths: Tokens of each prompt.
        tokens: Maximum of rows times longest row; a longer prompt forms a batch of its own.

    Returns:
        Indices of the prompts of each batch.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
