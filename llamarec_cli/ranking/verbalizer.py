"""The verbalizer: from the language model's hidden state to probabilities over the candidates (paper, Figure 2).

The score of candidate k is the logit of its index letter at the one position that follows the prompt. Only those K
rows of the output head are ever multiplied: the other logits of the vocabulary are not computed.

Shapes: B prompts, K candidates, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError


class Encodes(Protocol):
    """What is asked of a tokenizer: text to token ids, with the special tokens it puts around a prompt."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ...


def label_token_ids(tokenizer: Encodes, prompt: str, labels: Sequence[str]) -> list[int]:
    """Return the token id that each label has right after the prompt.

    The id is read off the tokenised prompt plus label, never off the bare letter: after `Response:` and a newline
    Llama 2 writes `A` as token 29909, while a bare "A" gives 319, the one with a space before it. (The official code
    uses the latter.)

    Args:
        tokenizer: The base model's.
        prompt: Any prompt; all end alike.
        labels: Index letters.

    Raises:
        LlamaRecError: With this tokenizer a label is not exactly one token there, or two labels share one.
    """
    prefix = tokenizer.encode(prompt)
    ids: list[int] = []
    for label in labels:
        whole = tokenizer.encode(prompt + label)
        if whole[:-1] != prefix:
            raise LlamaRecError(
                f"This base model's tokenizer does not write the label {label} as one token after the prompt.",
                "Choose another base model with --base.",
            )
        ids.append(whole[-1])
    if len(set(ids)) != len(ids):
        raise LlamaRecError(
            "This base model's tokenizer writes two labels as the same token.", "Choose another base model with --base."
        )
    return ids


def candidate_log_probabilities(hidden_BD: Tensor, head_VD: Tensor, label_ids: Sequence[int]) -> Tensor:
    """Return log-probabilities over the candidates: the softmax of the logits of their letters, B x K.

    Args:
        hidden_BD: Hidden states at the last position of each prompt.
        head_VD: Weight of the output head.
        label_ids: Token id of each candidate's letter; K of them.
    """
    logits_BK = hidden_BD @ head_VD[torch.as_tensor(label_ids, device=head_VD.device)].T
    return torch.log_softmax(logits_BK.float(), dim=-1)


def letter_mass(hidden_BD: Tensor, head_VD: Tensor, label_ids: Sequence[int]) -> Tensor:
    """Return the share of the whole vocabulary's probability that lies on the labels, B values in [0, 1]."""
    log_probabilities_BV = torch.log_softmax((hidden_BD @ head_VD.T).float(), dim=-1)
    return log_probabilities_BV[:, list(label_ids)].exp().sum(dim=-1)
