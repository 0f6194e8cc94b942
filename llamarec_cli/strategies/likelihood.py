"""The second way to read a language model: how much likelier the history makes a candidate's title.

    score_k = log p(title_k | history) - log p(title_k)

The second term, the title's prior, keeps common words and short titles from winning; it does not depend on the user and
is computed once a catalogue. Nothing is trained for it, though an adapter may be.

All candidates are scored in one forward pass: the history is followed by every title, and a mask lets each title see
the history and itself alone, as the branches of a tree see their trunk. Keys and values of the history are kept for the
next ranking of the same user. Where attention depends on more than mask and positions (a window that is shorter than
the text, biases by distance, a recurrence), each title is read behind the history in a pass of its own.

Shapes: L tokens of one pass, M positions that predict a token of a title, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llamarec_cli.language_model.fast_paths import attends_to_everything, supports_fast_paths
from llamarec_cli.language_model.forward import check_vocabulary, head_of, position_limit, transformer_of
from llamarec_cli.language_model.head import IDENTITY, LogitTransform, logit_transform
from llamarec_cli.language_model.prefix_cache import DEFAULT_BYTES, PrefixCache
from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.retrieval.conditional_logit import log_softmax
from llamarec_cli.strategies.prompt import MAX_TITLE_TOKENS, render_list
from llamarec_cli.strategies.prompt_encoder import within_positions

# Titles behind one trunk when priors are computed.
_TITLES_A_PASS = 48
# What a title stands behind, to see which tokens are its own.
_NUMBER = "1."
# Rows of full logits that are alive at once: 64 x 49,152 are 6 MB in bfloat16.
_ROWS = 64


class LikelihoodEngine(CandidateScorer):
    """Scores candidates by title likelihood.

    Args:
        model: A transformers causal language model in evaluation mode, with any adapter merged.
        tokenizer: Its tokenizer.
        titles: Title of each item id.
        priors: What `title_priors` returned for the same model and titles; without them, each title's is computed when
            it is first a candidate.
        max_title_tokens: Where longer titles are cut.
        prefix_bytes: What the keys and values of histories may take; 0 keeps none.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        titles: Sequence[str],
        priors: npt.NDArray[np.float64] | None = None,
        *,
        max_title_tokens: int = MAX_TITLE_TOKENS,
        prefix_bytes: int = DEFAULT_BYTES,
    ) -> None:
        check_vocabulary(model, tokenizer)
        self._max_title_tokens = max_title_tokens
        self.model, self.text, self.positions = model, TextTokenizer(tokenizer), position_limit(model)
        self.prefixes: PrefixCache = PrefixCache(transformer_of(model), model.device, prefix_bytes)
        self._titles = titles
        self._priors = np.full(len(titles), np.nan) if priors is None else priors
        self._short: dict[int, str] = {}
        self._branches: dict[int, list[int] | None] = {}

    @torch.inference_mode()
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-softmax of the scores, K values in the order given.

        Args:
            history: Item ids, oldest first; the last `MAX_HISTORY` are read, or fewer where those are too long.
            candidates: Item ids; any number.
        """
        # One at a time: what else is read in a pass changes last bits, and those would depend on earlier users.
        for item in candidates:
            if np.isnan(self._priors[item]):
                self._priors[item] = self._log_likelihoods([], [item])[0]
        scores = self._log_likelihoods(history, candidates) - self._priors[list(candidates)]
        return log_softmax(scores)

    @torch.inference_mode()
    def title_priors(self, report: Reporter = silent) -> npt.NDArray[np.float64]:
        """Return log p(title) of every item, V values: its likelihood at the head of a list; 0 for the padding."""
        priors = np.zeros(len(self._titles))
        for begin in range(1, len(self._titles), _TITLES_A_PASS):
            items = range(begin, min(begin + _TITLES_A_PASS, len(self._titles)))
            priors[items] = self._log_likelihoods([], items)
            report(Progress("read every title once", items[-1], len(self._titles) - 1))
        return priors

    def _log_likelihoods(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        def read(items: Sequence[int]) -> tuple[tuple[list[int], list[list[int]]], int]:
            trunk, branches = self._tree([self._title(item) for item in items], candidates)
            return (trunk, branches), len(trunk) + max(map(len, branches), default=0)

        trunk, branches = within_positions(history, self.positions, read)
        return branch_log_likelihoods(self.model, trunk, branches, self.prefixes)

    def _tree(self, history: Sequence[str], candidates: Sequence[int]) -> tuple[list[int], list[list[int]]]:
        """Return the tokens that all candidates share, and those of each behind them: together the whole text's."""
        trunk, after = render_list(history)
        trunk_ids = self.text.encode(trunk)
        parts = [self._branch(item, after) for item in candidates]
        branches = [part for part in parts if part is not None]
        if len(branches) == len(parts):
            return trunk_ids, branches
        # A token would reach from the trunk into a title.
        wholes = [self.text.encode(trunk + after + self._title(item)) for item in candidates]
        shared = min(_shared(trunk_ids, whole) for whole in wholes)
        return trunk_ids[:shared], [whole[shared:] for whole in wholes]

    def _branch(self, item: int, after: str) -> list[int] | None:
        """Return the tokens of a title behind the number of its entry; None where one of them belongs to both."""
        item = int(item)
        if item not in self._branches:
            self._branches[item] = self.text.continuation(_NUMBER, after + self._title(item))
        return self._branches[item]

    def _title(self, item: int) -> str:
        item = int(item)
        if item not in self._short:
            self._short[item] = self.text.truncate(self._titles[item], self._max_title_tokens)
        return self._short[item]


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def branch_log_likelihoods(
    model: Any, trunk: Sequence[int], branches: Sequence[Sequence[int]], prefixes: PrefixCache
) -> npt.NDArray[np.float64]:
    """Return log p(branch | trunk) of several continuations of one text, in one forward pass where that gives the same.

    Args:
        model: A transformers causal language model.
        trunk: Token ids that all continuations share; at least one.
        branches: Token ids of each continuation; one without any is certain.
        prefixes: Runs the model, and may know the trunk from before.
    """
    longest = len(trunk) + max(map(len, branches), default=0)
    together = supports_fast_paths(model.config) and attends_to_everything(model.config, longest)
    hidden = _hidden_of_tree if together else _hidden_of_each
    hidden_MD = hidden(model, trunk, branches, prefixes)
    targets_M = np.concatenate([np.asarray(branch, dtype=np.int64) for branch in branches])
    log_p_M = _token_log_probabilities(hidden_MD, head_of(model), targets_M, logit_transform(model))
    parts = np.split(log_p_M, np.cumsum([len(branch) for branch in branches])[:-1])
    return np.array([part.sum() for part in parts])


def _hidden_of_tree(
    model: Any, trunk: Sequence[int], branches: Sequence[Sequence[int]], prefixes: PrefixCache
) -> Tensor:
    """Return the hidden state at which each token of each branch is predicted, M x D, of one pass over all."""
    # The last token of a branch predicts nothing that is asked for, so it need not be read.
    inputs = [branch[:-1] for branch in branches]
    owners = np.repeat(np.arange(len(branches)), [len(branch) for branch in inputs])
    owner_L = torch.from_numpy(np.concatenate([np.full(len(trunk), -1), owners]))
    positions = [*range(len(trunk)), *(len(trunk) + place for branch in inputs for place in range(len(branch)))]
    ids = [*trunk, *(token for branch in inputs for token in branch)]
    # The trunk's last token is always read anew: it predicts the first token of every branch.
    hidden_ND = prefixes.hidden_states(ids, len(trunk) - 1, positions, _tree_mask(owner_L, model.dtype))
    known = len(ids) - len(hidden_ND)
    # Where each token of a branch is predicted: the first by the trunk's end, the others by the token before.
    begins = len(trunk) + np.cumsum([0, *(len(branch) for branch in inputs)])[:-1]
    sources = [
        [len(trunk) - 1, *range(begin, begin + len(branch) - 1)] if branch else []
        for begin, branch in zip(begins, branches, strict=True)
    ]
    sources_M = np.concatenate([np.asarray(some, dtype=np.int64) for some in sources])
    return hidden_ND[torch.from_numpy(sources_M - known).to(model.device)]


def _hidden_of_each(
    model: Any, trunk: Sequence[int], branches: Sequence[Sequence[int]], prefixes: PrefixCache
) -> Tensor:
    """Return what `_hidden_of_tree` returns, of a pass for each branch; no mask is given, and no position."""
    hidden: list[Tensor] = []
    for branch in branches:
        ids = [*trunk, *branch[:-1]]
        hidden_ND = prefixes.hidden_states(ids, len(trunk) - 1)
        hidden.append(hidden_ND[len(hidden_ND) - len(branch) :])
    return torch.cat(hidden)


def _tree_mask(owner_L: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the additive mask, L x L: all see the trunk before them, a branch sees itself besides.

    Args:
        owner_L: Branch of each position, -1 for the trunk.
        dtype: What the model computes in.
    """
    earlier_LL = torch.ones(len(owner_L), len(owner_L), dtype=torch.bool).tril()
    related_LL = (owner_L.unsqueeze(0) == -1) | (owner_L.unsqueeze(0) == owner_L.unsqueeze(1))
    mask_LL = torch.zeros(len(owner_L), len(owner_L), dtype=dtype)
    return mask_LL.masked_fill_(~(earlier_LL & related_LL), torch.finfo(dtype).min)


def _token_log_probabilities(
    hidden_MD: Tensor, head_VD: Tensor, targets_M: npt.NDArray[np.int64], shape: LogitTransform = IDENTITY
) -> npt.NDArray[np.float64]:
    """Return the log-probability of one token at each of M positions."""
    targets = torch.from_numpy(targets_M).to(hidden_MD.device)
    # The token's own logit in float32, where rounding would count; the sum over the vocabulary averages it out.
    own_M = shape((hidden_MD.float() * head_VD[targets].float()).sum(dim=1))
    rows_of = torch.split(hidden_MD, _ROWS)
    sums_M = torch.cat([torch.logsumexp(shape((rows @ head_VD.T).float()), dim=1) for rows in rows_of])
    result: npt.NDArray[np.float64] = (own_M - sums_M).cpu().numpy().astype(np.float64)
    return result
