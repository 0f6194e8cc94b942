"""Verbalizer: from the language model's hidden state to probabilities over the candidates (paper, Figure 2).

The score of candidate k is the logit of its index letter at the position after the prompt. Only those K rows of the
output head are multiplied; the other logits of the vocabulary are not computed.

Shapes: B prompts, K candidates, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.head import IDENTITY, LogitTransform
from llamarec_cli.strategies.prompt import LABELS, OTHER_LABELS, render_prompt


class Encodes(Protocol):
    """Tokenizer interface: text to token ids, with the special tokens before a prompt."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ...


def label_token_ids(tokenizer: Encodes, prompt: str, labels: Sequence[str]) -> list[int]:
    """Return the token id that each label has right after the prompt.

    The prompt and the label are tokenised together, since a bare letter may give another token: after `Response:` and a
    newline Llama 2 encodes `A` as token 29909, while a bare "A" gives 319, the one with a space before it. (The
    official code uses the latter.)

    Args:
        tokenizer: The base model's tokenizer.
        prompt: Any prompt; all prompts have the same end.
        labels: Index letters.

    Raises:
        LlamaRecError: A label is not exactly one token after the prompt, or two labels are the same token.
    """
    prefix = tokenizer.encode(prompt)
    ids: list[int] = []
    for label in labels:
        whole = tokenizer.encode(prompt + label)
        if whole[:-1] != prefix:
            raise LlamaRecError(
                f"This base model's tokenizer does not encode the label {label} as one token after the prompt.",
                "Choose another base model with `base`.",
            )
        ids.append(whole[-1])
    if len(set(ids)) != len(ids):
        raise LlamaRecError(
            "This base model's tokenizer encodes two labels as the same token.",
            "Choose another base model with `base`.",
        )
    return ids


def choose_labels(tokenizer: Encodes) -> tuple[Sequence[str], list[int]]:
    """Return index letters that this tokenizer encodes as single, distinct tokens after the prompt, and their ids.

    Of each set of labels, all 52 are tried first and then the first 26, which suffice for as many candidates.

    Args:
        tokenizer: The base model's tokenizer.

    Raises:
        LlamaRecError: No set qualifies; the message gives the reason for the first set, A to Z and a to z.
    """
    refusals: list[LlamaRecError] = []
    for labels in (LABELS, *OTHER_LABELS):
        prompt = render_prompt(["A title"], ["Another title"], labels)
        for count in (len(labels), len(labels) // 2):
            try:
                return labels[:count], label_token_ids(tokenizer, prompt, labels[:count])
            except LlamaRecError as error:
                refusals.append(error)
    raise refusals[0]


def candidate_log_probabilities(
    hidden_BD: Tensor, head_VD: Tensor, label_ids: Sequence[int], shape: LogitTransform = IDENTITY
) -> Tensor:
    """Return log-probabilities over the candidates: the log-softmax of the logits of their letters, B x K.

    The product is in float32 whatever the data type of the model: rounded to bfloat16, the close logits of twenty
    letters would be a few distinct values, and ties would decide the ranking.

    Args:
        hidden_BD: Hidden states at the last position of each prompt.
        head_VD: Weight of the output head.
        label_ids: Token id of each candidate's letter; K of them.
        shape: Transform of the logits after the output head, such as soft-capping.
    """
    rows_KD = head_VD[torch.as_tensor(label_ids, device=head_VD.device)]
    return torch.log_softmax(shape(hidden_BD.float() @ rows_KD.float().T), dim=-1)
