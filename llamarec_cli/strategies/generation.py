"""Strategies that generate the ranked list, as baselines (paper, sections 2.2 and 4.2.3).

- *generate-titles*: the titles in order, as PALR does; generation is limited to the length of all titles together.
- *generate-letters*: the index letters in order.

Decoding is greedy. The probability of a candidate is half that of the one before it in the list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.retrieval.conditional_logit import log_softmax
from llamarec_cli.strategies.prompt import LABELS, render_generation_prompt
from llamarec_cli.strategies.prompt_encoder import PromptEncoder, within_positions


class GenerateTitles(CandidateScorer):
    """Ranks by generating the titles.

    Args:
        model: A transformers causal language model in evaluation mode.
        encoder: The base model's tokenizer and titles.
        to_the_end: Whether to generate up to the limit, ignoring the end-of-sequence token. For latency measurements:
            an untrained model may end anywhere, a trained one after all titles.

    Attributes:
        unparsed: Lines generated so far that named no candidate.
        unnamed: Candidates so far that were not generated; they are ranked last, in the order given.
    """

    def __init__(self, model: Any, encoder: PromptEncoder, *, to_the_end: bool = False) -> None:
        self.model, self.encoder, self.to_the_end = model, encoder, to_the_end
        self.unparsed: int = 0
        self.unnamed = 0

    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return log-probabilities that decrease along the generated list; missing candidates come last."""
        titles = self.encoder.titles.of(candidates)
        limit = sum(len(self.encoder.text.plain(f"{title}\n")) for title in titles)
        prompt = self._prompt(history, titles, limit, letters=False)
        text = generate(self.model, self.encoder.tokenizer, prompt, limit, to_the_end=self.to_the_end)
        places = {_plain(title): place for place, title in reversed(list(enumerate(titles)))}
        lines = [_plain(re.sub(r"^\s*(\(?\w\)|\d+[.)])\s*", "", line)) for line in text.splitlines() if line.strip()]
        found = [places[line] for line in lines if line in places]
        return self._scores(found, len(lines), len(titles))

    def _scores(self, found: Sequence[int], entries: int, count: int) -> npt.NDArray[np.float64]:
        """Return log-probabilities of the candidates found, in that order, and then of the others.

        Args:
            found: Places of the generated candidates, in the order generated.
            entries: Number of generated entries.
            count: Number of candidates.
        """
        self.unparsed += entries - len(found)
        self.unnamed += count - len(set(found))
        order = list(dict.fromkeys([*found, *range(count)]))
        scores = np.empty(count)
        scores[order] = -np.log(2) * np.arange(count)
        return log_softmax(scores)

    def _prompt(self, history: Sequence[int], titles: Sequence[str], limit: int, *, letters: bool) -> str:
        """Return a prompt that leaves `limit` tokens of the model's context for the answer."""

        def read(items: Sequence[int]) -> tuple[str, int]:
            prompt = render_generation_prompt(self.encoder.titles.of(items), titles, letters=letters)
            return prompt, len(self.encoder.text.encode(prompt)) + limit

        return within_positions(history, self.encoder.positions, read)


class GenerateLetters(GenerateTitles):
    """Ranks by generating the index letters in order."""

    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return log-probabilities that decrease along the generated letters; missing candidates come last."""
        titles = self.encoder.titles.of(candidates)
        # A letter, a comma, and a space that may be a token of its own.
        limit = 3 * len(candidates)
        prompt = self._prompt(history, titles, limit, letters=True)
        text = generate(self.model, self.encoder.tokenizer, prompt, limit, to_the_end=self.to_the_end)
        letters = re.findall(r"[A-Za-z]+", text)
        places = {label: place for place, label in enumerate(LABELS[: len(candidates)])}
        found = [places[letter] for letter in letters if letter in places]
        return self._scores(found, len(letters), len(titles))


@torch.inference_mode()
def generate(model: Any, tokenizer: Any, prompt: str, limit: int, *, to_the_end: bool = False) -> str:
    """Return the greedy continuation of a prompt.

    Args:
        model: A transformers causal language model.
        tokenizer: Its tokenizer.
        prompt: The prompt.
        limit: Maximum number of new tokens.
        to_the_end: Whether to generate exactly `limit` tokens, ignoring the end-of-sequence token.
    """
    ids_1L = torch.tensor([TextTokenizer(tokenizer).encode(prompt)], device=model.device)
    written = model.generate(
        ids_1L,
        attention_mask=torch.ones_like(ids_1L),
        max_new_tokens=limit,
        min_new_tokens=limit if to_the_end else None,
        do_sample=False,
        num_beams=1,
        # Overrides sampling parameters of the model's generation config, which cause warnings in a greedy search.
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=tokenizer.eos_token_id,
    )
    text: str = tokenizer.decode(written[0, ids_1L.shape[1] :], skip_special_tokens=True)
    return text


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
