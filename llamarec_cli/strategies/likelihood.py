"""Strategy *likelihood*: how much more likely the history makes a candidate's title.

    score_k = log p(title_k | history) - log p(title_k)

The second term, the title's prior, corrects for common words and short titles. It does not depend on the user and is
computed once for a catalogue. Weights are not trained.

All candidates are scored in one forward pass. The sequence is a tree: the history is the trunk, every title is a
branch, and a mask lets each title attend to the history and itself only. Keys and values of the history are cached for
the next ranking of the same user. Where attention depends on more than mask and positions (a window shorter than the
text, distance biases, a recurrence), each title takes a forward pass of its own.

Shapes: L tokens of one pass, M positions that predict a token of a title, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from llamarec_cli.devices import best_device
from llamarec_cli.language_model.base_models import load_tokenizer
from llamarec_cli.language_model.fast_paths import attends_to_everything, supports_fast_paths
from llamarec_cli.language_model.forward import check_vocabulary, head_of, position_limit, transformer_of
from llamarec_cli.language_model.head import IDENTITY, LogitTransform, logit_transform
from llamarec_cli.language_model.inference import load_for_ranking
from llamarec_cli.language_model.prefix_cache import DEFAULT_BYTES, PrefixCache
from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.retrieval.conditional_logit import log_softmax
from llamarec_cli.strategies.prompt import MAX_TITLE_TOKENS, render_list
from llamarec_cli.strategies.prompt_encoder import within_positions
from llamarec_cli.strategies.titles import TruncatedTitles
from llamarec_cli.strategies.training import TrainingPlan

PRIORS_FILE = "priors.safetensors"

# Titles in one forward pass when priors are computed.
_BATCH_SIZE = 48
# Any text before a title, to find the tokens that belong to the title alone.
_NUMBER = "1."
# Rows of full logits in memory at once: 64 x 49,152 are 6 MB in bfloat16.
_ROWS = 64


class LikelihoodEngine(CandidateScorer):
    """Scores candidates by title likelihood.

    Args:
        model: A transformers causal language model in evaluation mode, with any adapter merged.
        tokenizer: Its tokenizer.
        titles: Title of each item id.
        priors: Result of `title_priors` for the same model and titles; without it, the prior of a title is computed
            when it is first a candidate.
        max_title_tokens: Titles with more tokens are truncated.
        prefix_bytes: Size of the cache of histories' keys and values; 0 for no cache.
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
        self.model, self.text, self.positions = model, TextTokenizer(tokenizer), position_limit(model)
        self.prefixes: PrefixCache = PrefixCache(transformer_of(model), model.device, prefix_bytes)
        self._titles = TruncatedTitles(self.text, titles, max_title_tokens)
        self._priors = np.full(len(titles), np.nan) if priors is None else priors
        self._branches: dict[int, list[int] | None] = {}

    def disable_cache(self) -> None:
        """See `CandidateScorer`; titles and priors stay cached, since they do not change with the order of calls."""
        self.prefixes.max_bytes = 0

    @torch.inference_mode()
    def rank(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the log-softmax of the scores, K values in the order given.

        Args:
            history: Item ids, oldest first; the model reads the last `MAX_HISTORY`, or fewer if these do not fit into
                its context.
            candidates: Item ids; any number.
        """
        # One at a time: rounding depends on the other titles of a forward pass, and thus on earlier users.
        for item in candidates:
            if np.isnan(self._priors[item]):
                self._priors[item] = self._log_likelihoods([], [item])[0]
        scores = self._log_likelihoods(history, candidates) - self._priors[list(candidates)]
        return log_softmax(scores)

    @torch.inference_mode()
    def title_priors(self, report: Reporter = silent) -> npt.NDArray[np.float64]:
        """Return log p(title) of every item, V values: its likelihood as the first of a list; 0 for the padding."""
        priors = np.zeros(len(self._titles))
        for begin in range(1, len(self._titles), _BATCH_SIZE):
            items = range(begin, min(begin + _BATCH_SIZE, len(self._titles)))
            priors[items] = self._log_likelihoods([], items)
            report(Progress("compute title priors", items[-1], len(self._titles) - 1))
        return priors

    def _log_likelihoods(self, history: Sequence[int], candidates: Sequence[int]) -> npt.NDArray[np.float64]:
        def read(items: Sequence[int]) -> tuple[tuple[list[int], list[list[int]]], int]:
            trunk, branches = self._tree(self._titles.of(items), candidates)
            return (trunk, branches), len(trunk) + max(map(len, branches), default=0)

        trunk, branches = within_positions(history, self.positions, read)
        return branch_log_likelihoods(self.model, trunk, branches, self.prefixes)

    def _tree(self, history: Sequence[str], candidates: Sequence[int]) -> tuple[list[int], list[list[int]]]:
        """Return the trunk's tokens and each branch's, which together are the tokens of the whole text."""
        trunk, after = render_list(history)
        trunk_ids = self.text.encode(trunk)
        parts = [self._branch(item, after) for item in candidates]
        branches = [part for part in parts if part is not None]
        if len(branches) == len(parts):
            return trunk_ids, branches
        # A token would span the end of the trunk and the beginning of a title.
        wholes = [self.text.encode(trunk + after + self._titles[item]) for item in candidates]
        shared = min(_shared(trunk_ids, whole) for whole in wholes)
        return trunk_ids[:shared], [whole[shared:] for whole in wholes]

    def _branch(self, item: int, after: str) -> list[int] | None:
        """Return the tokens of a title after its number; None if a token would span both."""
        item = int(item)
        if item not in self._branches:
            self._branches[item] = self.text.continuation(_NUMBER, after + self._titles[item])
        return self._branches[item]


def load_priors(folder: Path) -> npt.NDArray[np.float64] | None:
    """Return the priors in a checkpoint; None if it has none."""
    path = folder / PRIORS_FILE
    priors: npt.NDArray[np.float64] | None = load_file(path)["priors"] if path.is_file() else None
    return priors


def train(plan: TrainingPlan, folder: Path) -> dict[str, Any]:
    """Compute the prior of every title and write it into the checkpoint; there are no metrics for the manifest."""
    services = plan.services
    if saved := services.state.load():
        priors = saved[0]["priors"].numpy()
    else:
        model, tokenizer = load_for_ranking(plan.base, best_device()), load_tokenizer(plan.base)
        priors = LikelihoodEngine(model, tokenizer, plan.data.titles).title_priors(services.report)
        services.state.save({"priors": torch.from_numpy(priors)}, {})
    save_file({"priors": priors}, folder / PRIORS_FILE)
    return {}


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common prefix of two token sequences."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def branch_log_likelihoods(
    model: Any, trunk: Sequence[int], branches: Sequence[Sequence[int]], prefixes: PrefixCache
) -> npt.NDArray[np.float64]:
    """Return log p(branch | trunk) of several continuations, in one forward pass if the architecture allows it.

    Args:
        model: A transformers causal language model.
        trunk: Token ids before every continuation; at least one.
        branches: Token ids of each continuation; an empty one has probability 1.
        prefixes: Runs the model, with cached keys and values of earlier trunks.
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
    """Return the hidden state that predicts each token of each branch, M x D, in one forward pass over the tree."""
    # The last token of a branch predicts no token of it, so it is left out.
    inputs = [branch[:-1] for branch in branches]
    owners = np.repeat(np.arange(len(branches)), [len(branch) for branch in inputs])
    owner_L = torch.from_numpy(np.concatenate([np.full(len(trunk), -1), owners]))
    positions = [*range(len(trunk)), *(len(trunk) + place for branch in inputs for place in range(len(branch)))]
    ids = [*trunk, *(token for branch in inputs for token in branch)]
    # The trunk's last token is never taken from the cache: its hidden state predicts the first token of every branch.
    hidden_ND = prefixes.hidden_states(ids, len(trunk) - 1, positions, _tree_mask(owner_L, model.dtype))
    known = len(ids) - len(hidden_ND)
    # Position that predicts each token of a branch: the trunk's end for the first, the token before for the others.
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
    """Return the same as `_hidden_of_tree`, in one forward pass per branch with the model's own mask and positions."""
    hidden: list[Tensor] = []
    for branch in branches:
        ids = [*trunk, *branch[:-1]]
        hidden_ND = prefixes.hidden_states(ids, len(trunk) - 1)
        hidden.append(hidden_ND[len(hidden_ND) - len(branch) :])
    return torch.cat(hidden)


def _tree_mask(owner_L: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the additive attention mask, L x L: causal, to the trunk and within the same branch.

    Args:
        owner_L: Branch of each position, -1 for the trunk.
        dtype: Data type of the model.
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
    # The token's own logit in float32, since its rounding error is the result's; in the sum over the vocabulary errors
    # average out.
    own_M = shape((hidden_MD.float() * head_VD[targets].float()).sum(dim=1))
    rows_of = torch.split(hidden_MD, _ROWS)
    sums_M = torch.cat([torch.logsumexp(shape((rows @ head_VD.T).float()), dim=1) for rows in rows_of])
    result: npt.NDArray[np.float64] = (own_M - sums_M).cpu().numpy().astype(np.float64)
    return result
