"""Inference engine of the verbalizer: log-probabilities of the candidates in one forward pass a user.

The hidden state of the prompt's last position is multiplied with the K rows of the output head that belong to the index
letters. Logits of other positions and tokens are not computed, and no text is generated.

Titles are tokenised once, and keys and values of a history are cached for the next ranking of the same user. On a CPU
prompts run one at a time, since batching saves no time there; on a GPU prompts of similar length run in batches.

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

# Maximum number of tokens in a batch on a GPU.
BATCH_TOKENS = 16_384


class RankingEngine(CandidateScorer):
    """Ranks candidates by the logits of their index letters.

    Args:
        model: A transformers causal language model in evaluation mode, with any adapter merged.
        encoder: Renders and tokenises prompts.
        prefix_bytes: Size of the cache of histories' keys and values; 0 for no cache.
    """

    def __init__(self, model: Any, encoder: PromptEncoder, *, prefix_bytes: int = DEFAULT_BYTES) -> None:
        self.model = model
        self.encoder = encoder
        check_vocabulary(model, encoder.tokenizer)
        self.prefixes: PrefixCache = PrefixCache(transformer_of(model), model.device, prefix_bytes)
        self.ranks_together = model.device.type != "cpu"
        self._shape = logit_transform(model)

    def disable_cache(self) -> None:
        """See `CandidateScorer`."""
        self.prefixes.max_bytes = 0

    @torch.inference_mode()
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-probability of each candidate, K values in the order given.

        Args:
            history: Item ids, oldest first.
            candidates: Item ids, at most as many as there are index letters.
        """
        return self._read(self._last(history, candidates), len(candidates))

    @torch.inference_mode()
    def rank_with_mass(
        self, history: Sequence[int], candidates: Sequence[int]
    ) -> tuple[npt.NDArray[np.float64], float]:
        """Return the log-probability of each candidate, and the letter mass.

        The letter mass is the probability of the candidates' letters in the distribution over the whole vocabulary. It
        shows whether the model answers with a letter at all.
        """
        hidden_1D = self._last(history, candidates)
        logits_1V = self._shape((hidden_1D @ head_of(self.model).T).float())
        everything_V = torch.softmax(logits_1V, dim=-1)[0]
        mass = float(everything_V[self.encoder.label_ids[: len(candidates)]].sum())
        return self._read(hidden_1D, len(candidates)), mass

    def rank_many(self, examples: Sequence[RankingExample]) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """Yield the index and the log-probabilities of each of several users: in batches on a GPU, one by one on a CPU.

        Batches do not use the cache.
        """
        together = self.ranks_together and len(examples) > 1
        return self.rank_in_batches(examples) if together else super().rank_many(examples)

    @torch.inference_mode()
    def rank_in_batches(
        self, examples: Sequence[RankingExample], tokens: int = BATCH_TOKENS
    ) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """Yield the index and the log-probabilities of each user, in batches of prompts of similar length.

        Args:
            examples: Histories and candidates.
            tokens: Maximum number of tokens in a batch.
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
