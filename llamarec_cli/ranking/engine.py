"""The inference engine: (history, candidates) to log-probabilities, one forward pass a user.

The prompt runs through the transformer once; the hidden state of its last position meets the K label rows of the
head. No logits of other positions or other tokens are computed, and nothing is generated.

Titles are tokenised once, keys and values of histories are kept for the next ranking of the same user, and a CPU
attends in blocks. On a CPU prompts run one at a time, since a batch gains nothing there; on a GPU several of about the
same length run together.

Shapes: B prompts, L tokens, D hidden size, K candidates, S users, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.forward import (
    check_vocabulary,
    group_by_length,
    head_of,
    hidden_states,
    transformer_of,
)
from llamarec_cli.ranking.head import logit_shape
from llamarec_cli.ranking.pieces import PieceTokens
from llamarec_cli.ranking.prefixes import DEFAULT_BYTES, PrefixCache
from llamarec_cli.ranking.prompt import prompt_pieces
from llamarec_cli.ranking.text import Text, within_positions
from llamarec_cli.ranking.verbalizer import candidate_log_probabilities, choose_labels

# The paper cuts longer titles.
MAX_TITLE_TOKENS = 32
# Tokens in a batch on a GPU.
BATCH_TOKENS = 16_384


class CandidateScorer(ABC):
    """A way to read a language model: history and candidates to log-probabilities.

    Attributes:
        prefixes: What is kept of histories; None where nothing ever is.
        ranks_together: Whether several users take less time together than one after another.
    """

    prefixes: PrefixCache | None = None
    ranks_together = False

    @abstractmethod
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-probability of each candidate, K values in the order given."""

    def keep_nothing(self) -> None:
        """Read every prompt from its first token on from now on, so that no bit depends on what was ranked before.

        Rounding differs by where a prompt is taken up. Files and evaluations that can be resumed, where users come
        once, are to give the same bytes after an interruption.
        """
        if self.prefixes is not None:
            self.prefixes.max_bytes = 0

    def rank_many(self, examples: Sequence[RankingExample]) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """Yield the index and the log-probabilities of each of several users, in whatever order is fastest."""
        for index, example in enumerate(examples):
            yield index, self.rank(example.history.tolist(), example.candidates.tolist())


@dataclass(frozen=True)
class Prompt:
    """A prompt as the model reads it.

    Attributes:
        ids: Token ids.
        shared: How many of them, at the beginning, do not depend on the candidates; 0 where that is not known.
    """

    ids: list[int]
    shared: int


class PromptEncoder:
    """From item ids to token ids: cuts titles, keeps the last 20 items, renders, tokenises.

    Args:
        tokenizer: The base model's.
        titles: Title of each item id.
        max_title_tokens: Where longer titles are cut.
        positions: How many tokens the base model can tell the places of; None for any number. Fewer items of a history
            are read where a prompt and its answer would be longer.

    Attributes:
        tokenizer: As given.
        text: Texts to token ids.
        positions: As given.
        label_ids: Token id of each index letter.
    """

    def __init__(
        self,
        tokenizer: Any,
        titles: Sequence[str],
        max_title_tokens: int = MAX_TITLE_TOKENS,
        positions: int | None = None,
    ) -> None:
        self.tokenizer, self.text, self.positions = tokenizer, Text(tokenizer), positions
        self._max_title_tokens = max_title_tokens
        self._titles = titles
        self._short: dict[int, str] = {}
        self._tokens = PieceTokens(tokenizer)
        self._labels, self.label_ids = choose_labels(self.text)

    def title(self, item: int) -> str:
        """Return an item's title, cut if it is too long."""
        if item not in self._short:
            self._short[item] = self.text.cut(self._titles[item], self._max_title_tokens)
        return self._short[item]

    def titles(self, items: Sequence[int]) -> list[str]:
        """Return the titles of some items, those cut that are too long."""
        return [self.title(int(item)) for item in items]

    def encode(self, history: Sequence[int], candidates: Sequence[int]) -> list[int]:
        """Return the token ids of the prompt; see `prompt`."""
        return self.prompt(history, candidates).ids

    def prompt(self, history: Sequence[int], candidates: Sequence[int]) -> Prompt:
        """Return the prompt of one user.

        Args:
            history: Item ids, oldest first; the last `MAX_HISTORY` are read, or fewer where those are too long.
            candidates: Item ids, in the order of their letters.

        Raises:
            LlamaRecError: There are more candidates than letters that this tokenizer can write as one token, or their
                titles alone are longer than what the base model reads.
        """
        if len(candidates) > len(self._labels):
            raise LlamaRecError(
                f"This base model's tokenizer has single tokens for {len(self._labels)} index letters, "
                f"and there are {len(candidates)} candidates.",
                f"Give --k {len(self._labels)} or less, or another base model with --base.",
            )
        pool = self.titles(candidates)

        def read(items: Sequence[int]) -> tuple[Prompt, int]:
            ids, ends = self._tokens.encode(prompt_pieces(self.titles(items), pool, self._labels))
            # A mark and a title for each item of the history, or the one piece that says there is none; then the
            # first candidate's mark, which is the same for all pools. In training a letter follows the prompt.
            return Prompt(ids, ends[max(1, 2 * len(items))] if ends else 0), len(ids) + 1

        return within_positions(history, self.positions, read)


def cut_title(tokenizer: Any, title: str, tokens: int = MAX_TITLE_TOKENS) -> str:
    """Return a title without what lies beyond its first tokens, counted without special ones."""
    return Text(tokenizer).cut(title, tokens)


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
        self._shape = logit_shape(model)

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
        return self.prefixes.hidden(prompt.ids, prompt.shared)[-1:]

    def _read(self, hidden_1D: Tensor, count: int) -> npt.NDArray[np.float64]:
        label_ids = self.encoder.label_ids[:count]
        log_probabilities = candidate_log_probabilities(hidden_1D, head_of(self.model), label_ids, self._shape)[0]
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
    for done, (index, ranked) in enumerate(scorer.rank_many(examples), start=1):
        scores[index, : len(ranked)] = ranked
        report(Progress(stage, done, len(examples)))
    return scores
