"""Strategy *pointwise*: a yes-or-no question for each candidate, as TALLRec does (paper, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.forward import head_of, hidden_states
from llamarec_cli.language_model.head import logit_transform
from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.retrieval.conditional_logit import log_softmax
from llamarec_cli.strategies.prompt import render_pointwise_prompt
from llamarec_cli.strategies.prompt_encoder import PromptEncoder, within_positions


class Pointwise(CandidateScorer):
    """Ranks by a yes-or-no question for each candidate, in K forward passes.

    Args:
        model: A transformers causal language model in evaluation mode.
        encoder: The base model's tokenizer and titles.
    """

    def __init__(self, model: Any, encoder: PromptEncoder) -> None:
        self.model, self.encoder = model, encoder
        self._answers = _answer_ids(encoder.text)
        self._shape = logit_transform(model)

    @torch.inference_mode()
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-softmax over the candidates of logit(Yes) - logit(No)."""
        titles, text = self.encoder.titles.of(candidates), self.encoder.text

        def read(items: Sequence[int]) -> tuple[list[list[int]], int]:
            history_titles = self.encoder.titles.of(items)
            prompts = [text.encode(render_pointwise_prompt(history_titles, title)) for title in titles]
            return prompts, max(map(len, prompts), default=0)

        rows = head_of(self.model)[self._answers].float()
        scores = np.empty(len(candidates))
        for place, prompt in enumerate(within_positions(history, self.encoder.positions, read)):
            hidden_1D = hidden_states(self.model, [prompt])[0][-1:].float()
            yes, no = self._shape(hidden_1D @ rows.T)[0].tolist()
            scores[place] = yes - no
        return log_softmax(scores)


def _answer_ids(text: TextTokenizer) -> list[int]:
    """Return the first token of Yes and of No after a prompt."""
    prompt = render_pointwise_prompt(["A"], "B")
    before = text.encode(prompt)
    wholes = [text.encode(prompt + answer) for answer in ("Yes", "No")]
    ids = [whole[len(before)] for whole in wholes if whole[: len(before)] == before and len(whole) > len(before)]
    if len(set(ids)) < len(wholes):
        raise LlamaRecError(
            "This base model's tokenizer does not encode Yes and No as tokens of their own after the prompt.",
            "Choose another base model with `base`.",
        )
    return ids
