"""The inference engine: (history, candidates) to log-probabilities, one forward pass a user.

The prompt runs through the transformer once; the hidden state of its last position meets the K label rows of the
head. No logits of other positions or other tokens are computed, and nothing is generated.

Titles are tokenised once, keys and values of histories are kept for the next ranking of the same user, and a CPU
attends in blocks. On a CPU prompts run one at a time, since a batch gains nothing there; on a GPU several of about the
same length run together.

Shapes: B prompts, L tokens, D hidden size, K candidates, S users, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llamarec_cli.language_model.forward import (
    check_vocabulary,
    group_by_length,
    head_of,
    hidden_states,
    transformer_of,
)
from llamarec_cli.language_model.head import logit_transform
from llamarec_cli.language_model.prefix_cache import DEFAULT_BYTES, PrefixCache
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.verbalizer import candidate_log_probabilities

# Tokens in a batch on a GPU.
BATCH_TOKENS = 16_384


class RankingEngine(CandidateScorer):
    """Ranks candidates with a base model and, where given, a LoRA adapter merged into it.

    Args:
        model: A transformers causal language model in evaluation mode.
        encoder: Turns item ids into prompts.
        prefix_bytes: What the keys and values of histories may take; 0 keeps none, as a model in training must.
    """

    def __init__(self, model: Any, encoder: PromptEncoder, *, prefix_bytes: int = DEFAULT_BYTES) -> None:
        self.model = model
        self.encoder = encoder
        check_vocabulary(model, encoder.tokenizer)
        self.prefixes: PrefixCache = PrefixCache(transformer_of(model), model.device, prefix_bytes)
        self.ranks_together = model.device.type != "cpu"
        self._shape = logit_transform(model)

    @torch.inference_mode()
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-probability of each candidate, K values in the order given.

        Args:
            history: Item ids, oldest first.
            candidates: Item ids, at most as many as there are labels.
        """
        return self._read(self._last(history, candidates), len(candidates))

    @torch.inference_mode()
    def rank_with_mass(
        self, history: Sequence[int], candidates: Sequence[int]
    ) -> tuple[npt.NDArray[np.float64], float]:
        """Return what `rank` returns, and the probability that the whole vocabulary leaves to the candidates' letters.

        The latter tells whether a model answers with a letter at all.
        """
        hidden_1D = self._last(history, candidates)
        logits_1V = self._shape((hidden_1D @ head_of(self.model).T).float())
        everything_V = torch.softmax(logits_1V, dim=-1)[0]
        mass = float(everything_V[self.encoder.label_ids[: len(candidates)]].sum())
        return self._read(hidden_1D, len(candidates)), mass

    def rank_many(self, examples: Sequence[RankingExample]) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """Yield the index and the log-probabilities of each of several users: in batches on a GPU, else one by one.

        In a batch nothing that is known of histories is used.
        """
        together = self.ranks_together and len(examples) > 1
        return self.rank_in_batches(examples) if together else super().rank_many(examples)

    @torch.inference_mode()
    def rank_in_batches(
        self, examples: Sequence[RankingExample], tokens: int = BATCH_TOKENS
    ) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """Yield the index and the log-probabilities of each user, those with prompts of about the same length together.

        Args:
            examples: Histories and candidates.
            tokens: Most tokens of a batch.
        """
        prompts = [self.encoder.encode(one.history.tolist(), one.candidates.tolist()) for one in examples]
        for batch in group_by_length([len(prompt) for prompt in prompts], tokens):
            for index, hidden_LD in zip(batch, hidden_states(self.model, [prompts[i] for i in batch]), strict=True):
                yield index, self._read(hidden_LD[-1:], len(examples[index].candidates))

    def _last(self, history: Sequence[int], candidates: Sequence[int]) -> Tensor:
        """Return the hidden state of the last position, 1 x D."""
        prompt = self.encoder.prompt(history, candidates)
        return self.prefixes.hidden_states(prompt.ids, prompt.shared)[-1:]

    def _read(self, hidden_1D: Tensor, count: int) -> npt.NDArray[np.float64]:
        label_ids = self.encoder.label_ids[:count]
        log_probabilities = candidate_log_probabilities(hidden_1D, head_of(self.model), label_ids, self._shape)[0]
        result: npt.NDArray[np.float64] = log_probabilities.cpu().numpy().astype(np.float64)
        return result
