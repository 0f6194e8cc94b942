"""The inference engine: (history, candidates) to log-probabilities, one forward pass a user.

The prompt runs through the transformer once; the hidden state of its last position meets the K label rows of the
head. No logits of other positions or other tokens are computed, and nothing is generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.prompt import MAX_HISTORY, render_prompt
from llamarec_cli.ranking.verbalizer import candidate_log_probabilities, choose_labels

# The paper cuts longer titles.
MAX_TITLE_TOKENS = 32


class CandidateScorer(Protocol):
    """A way to read a language model: history and candidates to log-probabilities."""

    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-probability of each candidate, K values in the order given."""
        ...


class PromptEncoder:
    """From item ids to token ids: cuts titles, keeps the last 20 items, renders, tokenises.

    Args:
        tokenizer: The base model's.
        titles: Title of each item id.
        max_title_tokens: Where longer titles are cut.
    """

    def __init__(self, tokenizer: Any, titles: Sequence[str], max_title_tokens: int = MAX_TITLE_TOKENS) -> None:
        self.tokenizer = tokenizer
        self._max_title_tokens = max_title_tokens
        self._titles = titles
        self._short: dict[int, str] = {}
        self._labels, self.label_ids = choose_labels(tokenizer)

    def title(self, item: int) -> str:
        """Return an item's title, cut if it is too long."""
        if item not in self._short:
            self._short[item] = cut_title(self.tokenizer, self._titles[item], self._max_title_tokens)
        return self._short[item]

    def encode(self, history: Sequence[int], candidates: Sequence[int]) -> list[int]:
        """Return the token ids of the prompt.

        Args:
            history: Item ids, oldest first; the last `MAX_HISTORY` are read.
            candidates: Item ids, in the order of their letters.

        Raises:
            LlamaRecError: There are more candidates than letters that this tokenizer can write as one token.
        """
        if len(candidates) > len(self._labels):
            raise LlamaRecError(
                f"This base model's tokenizer has single tokens for {len(self._labels)} index letters, "
                f"and there are {len(candidates)} candidates.",
                f"Give --k {len(self._labels)} or less, or another base model with --base.",
            )
        recent = [self.title(int(item)) for item in history[-MAX_HISTORY:]]
        pool = [self.title(int(item)) for item in candidates]
        ids: list[int] = self.tokenizer.encode(render_prompt(recent, pool, self._labels))
        return ids


def cut_title(tokenizer: Any, title: str, tokens: int = MAX_TITLE_TOKENS) -> str:
    """Return a title without what lies beyond its first tokens, counted without special ones."""
    ids = tokenizer.encode(title, add_special_tokens=False)
    if len(ids) <= tokens:
        return title
    cut: str = tokenizer.decode(ids[:tokens], skip_special_tokens=True)
    # A character that was cut in the middle of its bytes decodes to the replacement character.
    return cut.rstrip("\ufffd").strip()


def last_hidden(model: Any, prompt_ids: Sequence[int]) -> Tensor:
    """Return the hidden state after the last token of one prompt, 1 x D, without computing any logits.

    Args:
        model: A transformers causal language model; its transformer is found under `base_model_prefix`.
        prompt_ids: Token ids of the prompt.
    """
    ids_1L = torch.tensor([prompt_ids], device=model.device)
    hidden_1LD: Tensor = transformer_of(model)(input_ids=ids_1L, use_cache=False).last_hidden_state
    return hidden_1LD[:, -1]


def transformer_of(model: Any) -> Any:
    """Return the model without its head: what maps token ids to hidden states."""
    return getattr(model, model.base_model_prefix)


def head_of(model: Any) -> Tensor:
    """Return the weight of the output head, V x D."""
    weight: Tensor = model.get_output_embeddings().weight
    return weight


class RankingEngine:
    """Ranks candidates with a base model and, where given, a LoRA adapter merged into it.

    Args:
        model: A transformers causal language model in evaluation mode.
        encoder: Turns item ids into prompts.
    """

    def __init__(self, model: Any, encoder: PromptEncoder) -> None:
        self.model = model
        self.encoder = encoder

    @torch.inference_mode()
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-probability of each candidate, K values in the order given.

        Args:
            history: Item ids, oldest first.
            candidates: Item ids, at most as many as there are labels.
        """
        hidden_1D = last_hidden(self.model, self.encoder.encode(history, candidates))
        return self._read(hidden_1D, len(candidates))

    @torch.inference_mode()
    def rank_with_mass(
        self, history: Sequence[int], candidates: Sequence[int]
    ) -> tuple[npt.NDArray[np.float64], float]:
        """Return what `rank` returns, and the probability that the whole vocabulary leaves to the candidates' letters.

        The latter tells whether a model answers with a letter at all.
        """
        hidden_1D = last_hidden(self.model, self.encoder.encode(history, candidates))
        everything_V = torch.softmax((hidden_1D @ head_of(self.model).T).float(), dim=-1)[0]
        mass = float(everything_V[self.encoder.label_ids[: len(candidates)]].sum())
        return self._read(hidden_1D, len(candidates)), mass

    def _read(self, hidden_1D: Tensor, count: int) -> npt.NDArray[np.float64]:
        label_ids = self.encoder.label_ids[:count]
        log_probabilities = candidate_log_probabilities(hidden_1D, head_of(self.model), label_ids)[0]
        result: npt.NDArray[np.float64] = log_probabilities.cpu().numpy().astype(np.float64)
        return result


def score_examples(
    scorer: CandidateScorer, examples: Sequence[RankingExample], k: int, stage: str, report: Reporter = silent
) -> npt.NDArray[np.float64]:
    """Return a scorer's log-probabilities of several users, S x K; minus infinity where a user has fewer.

    Args:
        scorer: Reads the language model.
        examples: Histories and candidates, at most `k` of these a user.
        k: Width of the result.
        stage: Name of the progress bar.
        report: Progress in users.
    """
    scores = np.full((len(examples), k), -np.inf)
    for index, example in enumerate(examples):
        ranked = scorer.rank(example.history.tolist(), example.candidates.tolist())
        scores[index, : len(ranked)] = ranked
        report(Progress(stage, index + 1, len(examples)))
    return scores
