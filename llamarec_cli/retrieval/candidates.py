"""Scoring the whole catalogue for many users and keeping the best K items of each (paper, section 3.2.1).

Items of the history are masked, in validation as in the test, unless users consume items again (`Sequences.repeats`).
(The official code masks them in the test only, and so selects its model by another task than the one it reports.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llamarec_cli.data.splits import HeldOut, Sequences
from llamarec_cli.progress import Progress, Reporter, silent
from llamarec_cli.retrieval.scoring import Retriever

# The paper's K.
DEFAULT_K = 20

# Rank of a true item that is masked because it is in the history: beyond every catalogue.
MISSED = int(np.iinfo(np.int32).max)

# Users per batch: 128 x 12,000 items are 6 MB of scores, which fit into a CPU's caches.
_USERS = 128


@dataclass(frozen=True)
class Candidates:
    """The best K items of each of S users, best first.

    Attributes:
        items_SK: Item ids; int32. Padded with 0 where fewer than K items are left.
        scores_SK: The retriever's scores; float32; minus infinity at the padding.
        parts: For a blend, the scores of each retriever in it by name; S x K, float32.
    """

    items_SK: npt.NDArray[np.int32]
    scores_SK: npt.NDArray[np.float32]
    parts: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @property
    def k(self) -> int:
        """Candidates per user, K."""
        return int(self.items_SK.shape[1])

    def of_users(self, users: npt.NDArray[np.int64]) -> Candidates:
        """Return the candidates of some of the users."""
        parts = {name: values[users] for name, values in self.parts.items()}
        return Candidates(self.items_SK[users], self.scores_SK[users], parts)

    def log_probabilities(self) -> npt.NDArray[np.float64]:
        """Return the log-softmax of the scores over each user's K candidates, S x K."""
        scores = self.scores_SK.astype(np.float64)
        shifted = scores - scores.max(axis=1, keepdims=True)
        result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return result


def retrieve(model: Retriever, histories: Sequences, k: int = DEFAULT_K, report: Reporter = silent) -> Candidates:
    """Return the top K items of each history. No history may be empty.

    Among the K, equal scores are ordered by item id.
    """
    _prepare(model)
    items: list[npt.NDArray[np.int32]] = []
    scores: list[npt.NDArray[np.float32]] = []
    parts: dict[str, list[npt.NDArray[np.float32]]] = {}
    for users in user_chunks(len(histories)):
        scores_BV, parts_BV = _masked_scores(model, histories, users)
        top = torch.topk(scores_BV, min(k, scores_BV.shape[1] - 1), dim=1)
        chosen_items, chosen_scores = top.indices.cpu().numpy().astype(np.int32), top.values.cpu().numpy()
        order = np.lexsort((chosen_items, -chosen_scores), axis=1)
        chosen_items = np.take_along_axis(chosen_items, order, axis=1)
        chosen_scores = np.take_along_axis(chosen_scores, order, axis=1)
        for name, part_BV in parts_BV.items():
            chosen_parts = part_BV.cpu().numpy()[np.arange(len(users))[:, None], chosen_items]
            parts.setdefault(name, []).append(chosen_parts)
        items.append(np.where(np.isneginf(chosen_scores), 0, chosen_items).astype(np.int32))
        scores.append(chosen_scores)
        report(Progress("retrieve", int(users[-1]) + 1, len(histories)))
    joined = {name: np.concatenate(chunks) for name, chunks in parts.items()}
    return Candidates(np.concatenate(items), np.concatenate(scores), joined)


def rank_targets(model: Retriever, cases: HeldOut) -> npt.NDArray[np.int32]:
    """Return the 1-based rank of each true item among all items that are not masked; S entries.

    Ties count against the true item. If it is masked itself, its rank is `MISSED`.
    """
    _prepare(model)
    ranks = [
        ranks_of(_masked_scores(model, cases.histories, users)[0], cases.targets_S[users])
        for users in user_chunks(len(cases))
    ]
    return np.concatenate(ranks) if ranks else np.empty(0, dtype=np.int32)


def ranks_of(scores_BV: Tensor, targets_B: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the 1-based rank of one item per user; ties count against it."""
    targets_B1 = torch.from_numpy(targets_B).to(scores_BV.device, torch.int64).unsqueeze(1)
    own_B1 = scores_BV.gather(1, targets_B1)
    # "Not below" rather than "at least": NaN must never look like a hit.
    ranks = (~(scores_BV < own_B1)).sum(dim=1)
    # A masked item is missed, however small the catalogue.
    ranks[own_B1[:, 0] == -torch.inf] = MISSED
    result: npt.NDArray[np.int32] = ranks.cpu().numpy().astype(np.int32)
    return result


def user_chunks(count: int) -> list[npt.NDArray[np.int64]]:
    """Split the users 0 ... count - 1 into batches that are scored at once."""
    return [np.arange(begin, min(begin + _USERS, count)) for begin in range(0, count, _USERS)]


def mask_history(scores_BV: Tensor, histories: Sequences, users_B: npt.NDArray[np.int64]) -> None:
    """Set the scores of padding and, unless users consume items again, of the history to minus infinity, in place."""
    scores_BV[:, 0] = -torch.inf
    if histories.repeats:
        return
    begins, ends = histories.offsets_S[users_B], histories.offsets_S[users_B + 1]
    rows = np.repeat(np.arange(len(users_B)), ends - begins)
    seen = np.concatenate([histories[user] for user in users_B]).astype(np.int64)
    device = scores_BV.device
    scores_BV[torch.from_numpy(rows).to(device), torch.from_numpy(seen).to(device)] = -torch.inf


@torch.no_grad()
def _prepare(model: Retriever) -> None:
    model.eval()
    model.refresh()


@torch.inference_mode()
def _masked_scores(
    model: Retriever, histories: Sequences, users_B: npt.NDArray[np.int64]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the masked scores, and the scores of the retriever's parts, which are not masked."""
    scores_BV, parts = model.score_in_parts(histories, users_B)
    mask_history(scores_BV, histories, users_B)
    return scores_BV, parts
