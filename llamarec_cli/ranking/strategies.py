"""The ways to let a language model rank, and those that are baselines: what the verbalizer is faster than.

- *generate-titles*: greedy generation of the ranked list as titles, as PALR does (paper, sections 2.2 and 4.2.3); it
  ends when the response is longer than all titles together.
- *generate-letters*: greedy generation of the index letters in order.
- *pointwise*: one forward pass for each candidate, yes against no, as TALLRec does.

All rank by order and return log-probabilities that decrease along it, so that they can stand where a verbalizer stands.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import torch

from llamarec_cli.errors import LlamaRecError, UnknownNameError
from llamarec_cli.ranking.engine import (
    MAX_TITLE_TOKENS,
    CandidateScorer,
    PromptEncoder,
    RankingEngine,
)
from llamarec_cli.ranking.forward import check_vocabulary, head_of, hidden_states, position_limit
from llamarec_cli.ranking.head import logit_shape
from llamarec_cli.ranking.likelihood import LikelihoodEngine
from llamarec_cli.ranking.prefixes import DEFAULT_BYTES
from llamarec_cli.ranking.prompt import LABELS, render_generation_prompt, render_pointwise_prompt
from llamarec_cli.ranking.text import Text, within_positions
from llamarec_cli.retrieval.conditional_logit import log_softmax


class Strategy(StrEnum):
    """Ways to read a language model."""

    VERBALIZER = "verbalizer"
    LIKELIHOOD = "likelihood"
    GENERATE_TITLES = "generate-titles"
    GENERATE_LETTERS = "generate-letters"
    POINTWISE = "pointwise"


def make_scorer(
    strategy: Strategy,
    model: Any,
    tokenizer: Any,
    titles: Sequence[str],
    *,
    priors: npt.NDArray[np.float64] | None = None,
    max_title_tokens: int = MAX_TITLE_TOKENS,
    to_the_end: bool = False,
    prefix_bytes: int = DEFAULT_BYTES,
) -> CandidateScorer:
    """Return what reads a language model in one of five ways.

    Args:
        strategy: Which.
        model: A transformers causal language model in evaluation mode, with any adapter merged.
        tokenizer: Its tokenizer.
        titles: Title of each item id.
        priors: For `likelihood`: log p(title) of each item, where known.
        max_title_tokens: Where longer titles are cut.
        to_the_end: For generation: whether it goes on to its limit.
        prefix_bytes: What the keys and values of histories may take; 0 keeps none.
    """
    if strategy is Strategy.LIKELIHOOD:
        return LikelihoodEngine(
            model, tokenizer, titles, priors, max_title_tokens=max_title_tokens, prefix_bytes=prefix_bytes
        )
    check_vocabulary(model, tokenizer)
    encoder = PromptEncoder(tokenizer, titles, max_title_tokens, position_limit(model))
    match strategy:
        case Strategy.VERBALIZER:
            return RankingEngine(model, encoder, prefix_bytes=prefix_bytes)
        case Strategy.GENERATE_TITLES:
            return GenerateTitles(model, encoder, to_the_end=to_the_end)
        case Strategy.GENERATE_LETTERS:
            return GenerateLetters(model, encoder, to_the_end=to_the_end)
        case Strategy.POINTWISE:
            return Pointwise(model, encoder)
        case _:
            assert_never(strategy)


def parse_strategy(name: str, known: Collection[Strategy] = tuple(Strategy)) -> Strategy:
    """Return the strategy of that name.

    Raises:
        UnknownNameError: It is not known, or not among those known here.
    """
    if name not in known:
        raise UnknownNameError(name, "strategy", known)
    return Strategy(name)


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
        self.unparsed = 0
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


class Pointwise(CandidateScorer):
    """Ranks by asking yes or no for each candidate, K forward passes.

    Args:
        model: A transformers causal language model in evaluation mode.
        encoder: The base model's tokenizer and titles.
    """

    def __init__(self, model: Any, encoder: PromptEncoder) -> None:
        self.model, self.encoder = model, encoder
        self._answers = _answer_ids(encoder.text)
        self._shape = logit_shape(model)

    @torch.inference_mode()
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-softmax over the candidates of how much likelier yes is than no."""
        titles, text = self.encoder.titles(candidates), self.encoder.text

        def read(items: Sequence[int]) -> tuple[list[list[int]], int]:
            recent = self.encoder.titles(items)
            prompts = [text.encode(render_pointwise_prompt(recent, title)) for title in titles]
            return prompts, max(map(len, prompts), default=0)

        rows = head_of(self.model)[self._answers].float()
        scores = np.empty(len(candidates))
        for place, prompt in enumerate(within_positions(history, self.encoder.positions, read)):
            hidden_1D = hidden_states(self.model, [prompt])[0][-1:].float()
            yes, no = self._shape(hidden_1D @ rows.T)[0].tolist()
            scores[place] = yes - no
        return log_softmax(scores)


def _answer_ids(text: Text) -> list[int]:
    """Return the first tokens of yes and no after a prompt, which tell them apart, however many each takes."""
    prompt = render_pointwise_prompt(["A"], "B")
    before = text.encode(prompt)
    wholes = [text.encode(prompt + answer) for answer in ("Yes", "No")]
    ids = [whole[len(before)] for whole in wholes if whole[: len(before)] == before and len(whole) > len(before)]
    if len(set(ids)) < len(wholes):
        raise LlamaRecError(
            "This base model's tokenizer does not write Yes and No as tokens of their own after the prompt.",
            "Choose another base model with --base.",
        )
    return ids


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
    ids_1L = torch.tensor([Text(tokenizer).encode(prompt)], device=model.device)
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
