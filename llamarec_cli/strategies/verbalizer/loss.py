"""Training loss of the verbalizer, on the answer only (paper, section 3.2.2).

The answer is the true item's index letter and the end-of-sequence token. Only the hidden states that predict these two
tokens are multiplied with the output head, so full logits over the prompt are never computed.

Shapes: B prompts, L tokens, D hidden size, V vocabulary, C letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.forward import head_of, hidden_states
from llamarec_cli.language_model.head import logit_transform
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.strategies.prompt_encoder import PromptEncoder


@dataclass(frozen=True)
class AnsweredPrompt:
    """A tokenised training example.

    Attributes:
        ids: Token ids of the prompt, followed by the letter of the true item.
        answer: Index of the true item among the candidates.
        choices: Number of candidates.
    """

    ids: list[int]
    answer: int
    choices: int


def encode_example(encoder: PromptEncoder, example: RankingExample) -> AnsweredPrompt:
    """Tokenise an example."""
    prompt = encoder.encode(example.history.tolist(), example.candidates.tolist())
    return AnsweredPrompt([*prompt, encoder.label_ids[example.answer]], example.answer, len(example.candidates))


def answer_loss(
    model: Any, encoder: PromptEncoder, prompts: Sequence[AnsweredPrompt], *, letters_alone: bool = False
) -> Tensor:
    """Return the negative log-likelihood of answers in nats: mean over letter and end of sequence, sum over prompts.

    Args:
        model: A causal language model, with or without adapter layers inside.
        encoder: The encoder that tokenised the prompts.
        prompts: Prompts of one forward pass.
        letters_alone: Whether to normalise over the candidates' letters instead of the vocabulary, and to leave out the
            end of the sequence.

    Raises:
        LlamaRecError: The tokenizer has no end-of-sequence token, and the loss needs one.
    """
    of_each = hidden_states(model, [prompt.ids for prompt in prompts])
    # The last token of the prompt predicts the letter, the letter predicts the end of the sequence.
    hidden_BD = torch.stack([hidden_LD[-2] for hidden_LD in of_each])
    if letters_alone:
        return _letter_loss(model, encoder, hidden_BD, prompts)
    end = encoder.tokenizer.eos_token_id
    if end is None:
        raise LlamaRecError(
            "This base model's tokenizer has no token that ends a sequence, which is part of the answer.",
            "Set `loss` to letters, or choose another base model with `base`.",
        )
    hidden_2BD = torch.cat([hidden_BD, torch.stack([hidden_LD[-1] for hidden_LD in of_each])])
    targets_2B = torch.tensor([prompt.ids[-1] for prompt in prompts] + [end] * len(prompts), device=model.device)
    logits_2BV = hidden_2BD @ head_of(model).to(hidden_2BD.dtype).T
    logits_2BV = logit_transform(model)(logits_2BV.float())
    return torch.nn.functional.cross_entropy(logits_2BV, targets_2B, reduction="sum") / 2


def _letter_loss(model: Any, encoder: PromptEncoder, hidden_BD: Tensor, prompts: Sequence[AnsweredPrompt]) -> Tensor:
    rows_CD = head_of(model)[torch.tensor(encoder.label_ids, device=model.device)]
    logits_BC = logit_transform(model)(hidden_BD.float() @ rows_CD.float().T)
    choices_B1 = torch.tensor([[prompt.choices] for prompt in prompts], device=model.device)
    beyond_BC = torch.arange(logits_BC.shape[1], device=model.device) >= choices_B1
    answers_B = torch.tensor([prompt.answer for prompt in prompts], device=model.device)
    return torch.nn.functional.cross_entropy(logits_BC.masked_fill(beyond_BC, -torch.inf), answers_B, reduction="sum")
