"""Baselines that generate the ranked list greedily: what the verbalizer is faster than (paper, sections 2.2 and 4.2.3).

- *generate-titles*: the titles in order, as PALR does; generation is limited to the length of all titles together.
- *generate-letters*: the index letters in order.

Scores are log-probabilities that halve along the generated list, so that they can stand where a verbalizer's stand.
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
        to_the_end: Whether to generate to the limit even if the model ends sooner, for measurements: an untrained model
            ends where it likes, a trained one when all titles are written.

    Attributes:
        unparsed: Lines generated so far that named no candidate.
        unnamed: Candidates so far that were not generated, and stand in the order given behind those that were.
    """

    def __init__(self, model: Any, encoder: PromptEncoder, *, to_the_end: bool = False) -> None:
        self.model, self.encoder, self.to_the_end = model, encoder, to_the_end
        self.unparsed: int = 0
        self.unnamed = 0

    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return log-probabilities that fall along the generated list; candidates that are not in it come last."""
        titles = self.encoder.titles(candidates)
        limit = sum(len(self.encoder.text.plain(f"{title}\n")) for title in titles)
        prompt = self._prompt(history, titles, limit, letters=False)
        text = generate(self.model, self.encoder.tokenizer, prompt, limit, to_the_end=self.to_the_end)
        places = {_plain(title): place for place, title in reversed(list(enumerate(titles)))}
        lines = [_plain(re.sub(r"^\s*(\(?\w\)|\d+[.)])\s*", "", line)) for line in text.splitlines() if line.strip()]
        found = [places[line] for line in lines if line in places]
        return self._scores(found, len(lines), len(titles))

    def _scores(self, found: Sequence[int], entries: int, count: int) -> npt.NDArray[np.float64]:
        """Return log-probabilities that halve along an order; what is not in it keeps its place behind.

        Args:
            found: Places of the candidates that were generated, in that order.
            entries: Entries that were generated.
            count: Candidates.
        """
        self.unparsed += entries - len(found)
        self.unnamed += count - len(set(found))
        order = list(dict.fromkeys([*found, *range(count)]))
        scores = np.empty(count)
        scores[order] = -np.log(2) * np.arange(count)
        return log_softmax(scores)

    def _prompt(self, history: Sequence[int], titles: Sequence[str], limit: int, *, letters: bool) -> str:
        """Return a prompt that leaves the model positions for what it is to write."""

        def read(items: Sequence[int]) -> tuple[str, int]:
            prompt = render_generation_prompt(self.encoder.titles(items), titles, letters=letters)
            return prompt, len(self.encoder.text.encode(prompt)) + limit

        return within_positions(history, self.encoder.positions, read)


class GenerateLetters(GenerateTitles):
    """Ranks by generating the index letters in order."""

    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return log-probabilities that fall along the generated letters; candidates without one come last."""
        titles = self.encoder.titles(candidates)
        # A letter and what parts it from the next one, a comma and perhaps a space of its own.
        limit = 3 * len(candidates)
        prompt = self._prompt(history, titles, limit, letters=True)
        text = generate(self.model, self.encoder.tokenizer, prompt, limit, to_the_end=self.to_the_end)
        letters = re.findall(r"[A-Za-z]+", text)
        places = {label: place for place, label in enumerate(LABELS[: len(candidates)])}
        found = [places[letter] for letter in letters if letter in places]
        return self._scores(found, len(letters), len(titles))


@torch.inference_mode()
def generate(model: Any, tokenizer: Any, prompt: str, limit: int, *, to_the_end: bool = False) -> str:
    """Return what a model writes greedily behind a prompt.

    Args:
        model: A transformers causal language model.
        tokenizer: Its tokenizer.
        prompt: The prompt.
        limit: At most so many tokens.
        to_the_end: Whether exactly so many are written, whatever the model says of the end.
    """
    ids_1L = torch.tensor([TextTokenizer(tokenizer).encode(prompt)], device=model.device)
    written = model.generate(
        ids_1L,
        attention_mask=torch.ones_like(ids_1L),
        max_new_tokens=limit,
        min_new_tokens=limit if to_the_end else None,
        do_sample=False,
        num_beams=1,
        # What a model's own file says of sampling would only draw warnings beside a greedy search.
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=tokenizer.eos_token_id,
    )
    text: str = tokenizer.decode(written[0, ids_1L.shape[1] :], skip_special_tokens=True)
    return text


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
