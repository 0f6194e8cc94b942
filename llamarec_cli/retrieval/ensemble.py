"""Ensemble: a weighted sum of several trained retrievers' scores and two item-to-item counts.

A retriever of item ids learns who bought what, one of titles what the items are, and plain counts keep rare pairs that
both forget. The score of item v is

    sum_m w_m s_mv + a log(1 + c_v / mean) + b log(1 + t_v / mean)

where s_mv is the log-probability that retriever m gives item v, and c_v and t_v are the co-occurrence and transition
counts of module `neighbours`. All weights are fitted together as a conditional logit with non-negative coefficients:
they maximise the likelihood of validation users' true items within a pool, the items with the highest mean
log-probability. Users whose item is not in their pool are left out; adding it would bias the weights towards items that
retrievers rank low.

Shapes: B users, V items + padding, P items of a pool, J parts of the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from llamarec_cli.data.splits import HeldOut, Sequences
from llamarec_cli.evaluation.metrics import ndcg_at, ranks_of_answers, recall_at
from llamarec_cli.progress import Progress
from llamarec_cli.retrieval.candidates import mask_history, user_chunks
from llamarec_cli.retrieval.conditional_logit import Array, fit_conditional_logit
from llamarec_cli.retrieval.neighbours import CountsConfig, ItemCounts
from llamarec_cli.retrieval.scoring import FittedRetriever, Fitting, Retriever

# P.
_POOL = 100
# More users would not change the weights noticeably, but take more memory.
_MAX_USERS = 20_000

TOGETHER = "together"
FOLLOWING = "following"


@dataclass(frozen=True)
class EnsembleConfig(CountsConfig):
    """The blended retrievers, and how item pairs are counted.

    Attributes:
        retrievers: Names of `RETRIEVERS`, or of checkpoints of the same data set without the data set's name.
    """

    retrievers: tuple[str, ...] = ("lrurec", "textrec")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.retrievers or len(set(self.retrievers)) < len(self.retrievers):
            raise ValueError("retrievers must name at least one retriever, and none twice")


@dataclass(frozen=True)
class PartOfBlend:
    """Contribution of one part of the score, on validation users.

    Attributes:
        name: Name of the retriever, or `together` (co-occurrence) or `following` (transition).
        weight: Its weight.
        recall_without: Recall@20 within the pool of an ensemble fitted without it.
        ndcg_without: NDCG@10 of the same.
    """

    name: str
    weight: float
    recall_without: float
    ndcg_without: float


class Ensemble(FittedRetriever):
    """The whole model.

    Args:
        item_count: Number of items, without the padding.
        config: The retrievers' names, and how item pairs are counted.
        members: The trained retrievers, in the order of the configuration.
    """

    weights_J: Tensor

    def __init__(self, item_count: int, config: EnsembleConfig, members: Sequence[Retriever]) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(members)
        self.counts = ItemCounts(item_count, config)
        self.register_buffer("weights_J", torch.zeros(len(members) + 2))
        self._contributions: list[PartOfBlend] = []
        self._metrics = (0.0, 0.0)

    @classmethod
    def fit(cls, config: EnsembleConfig, fitting: Fitting) -> Self:
        """Count item pairs in the training sequences, then fit all weights on the validation split."""
        model = cls(fitting.item_count, config, [fitting.trained(name) for name in config.retrievers])
        model.counts.count(fitting.sequences)
        model = model.to(fitting.device).eval()
        parts_SPJ, exists_SP, answers_S = model._pools(fitting)
        weights_J = fit_conditional_logit(parts_SPJ, exists_SP, answers_S, negative=False)
        # Without users to fit on, the ensemble is its first retriever.
        model.weights_J.copy_(torch.from_numpy(weights_J if len(answers_S) else np.eye(len(weights_J))[0]))
        model._measure_contributions(fitting, parts_SPJ, exists_SP, answers_S, weights_J)
        return model

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the blended retrievers."""
        return self.config.retrievers

    @property
    def reading_parts(self) -> tuple[str, ...]:
        """Names of the blended retrievers whose item vectors come from a language model."""
        pairs = zip(self.parts, self.members, strict=True)
        return tuple(name for name, member in pairs if member.reads_language_model)

    def score(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> Tensor:
        """Return the weighted sum for every item."""
        return self.score_in_parts(histories, users_B)[0]

    def score_in_parts(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum for every item, and the retrievers' own scores."""
        parts = self._parts(histories, users_B)
        score_BV = sum((weight * part for weight, part in zip(self.weights_J, parts, strict=True)), torch.zeros(()))
        return score_BV, dict(zip(self.parts, parts, strict=False))

    def refresh(self) -> None:
        """Refresh every member."""
        for member in self.members:
            member.refresh()  # type: ignore[operator]

    def fit_metrics(self) -> dict[str, Any]:
        """Return the contribution of each part; empty for a loaded ensemble."""
        recall, ndcg = self._metrics
        parts = [vars(part) for part in self._contributions]
        return {"blend": {"pool": _POOL, "recall@20": recall, "ndcg@10": ndcg, "parts": parts}} if parts else {}

    def _parts(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> list[Tensor]:
        """Return the J parts of the score, B x V each; those of retrievers are log-probabilities."""
        scores = [member.score(histories, users_B) for member in self.members]  # type: ignore[operator]
        return [*(torch.log_softmax(score, dim=1) for score in scores), *self.counts.score(histories, users_B)]

    @torch.inference_mode()
    def _pools(self, fitting: Fitting) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Return the pools of the S validation users whose true item is in their pool.

        Returns:
            The parts of the score, S x P x J; which places hold an item, S x P; the place of the true item, S.
        """
        cases = _sampled(fitting.validation)
        parts: list[npt.NDArray[np.float32]] = []
        exists: list[npt.NDArray[np.bool_]] = []
        answers: list[npt.NDArray[np.int64]] = []
        for users in user_chunks(len(cases)):
            chunk = self._parts(cases.histories, users)
            mean_BV = torch.stack(chunk[: len(self.members)]).mean(dim=0)
            mask_history(mean_BV, cases.histories, users)
            best = torch.topk(mean_BV, min(_POOL, mean_BV.shape[1] - 1), dim=1)
            target_B1 = torch.from_numpy(cases.targets_S[users]).to(mean_BV.device, torch.int64).unsqueeze(1)
            exists_BP = ~torch.isneginf(best.values)
            hits_BP = (best.indices == target_B1) & exists_BP
            found = hits_BP.any(dim=1)
            values_BPJ = torch.stack([part.gather(1, best.indices) for part in chunk], dim=2)
            parts.append(values_BPJ[found].float().cpu().numpy())
            exists.append(exists_BP[found].cpu().numpy())
            answers.append(hits_BP[found].int().argmax(dim=1).cpu().numpy())
            fitting.report(Progress("fit ensemble", int(users[-1]) + 1, len(cases)))
        if not parts:
            return np.zeros((0, 1, len(self.weights_J)), np.float32), np.zeros((0, 1), bool), np.zeros(0, np.int64)
        return np.concatenate(parts), np.concatenate(exists), np.concatenate(answers)

    def _measure_contributions(
        self,
        fitting: Fitting,
        parts_SPJ: npt.NDArray[np.float32],
        exists_SP: npt.NDArray[np.bool_],
        answers_S: npt.NDArray[np.int64],
        weights_J: Array,
    ) -> None:
        """Fit the ensemble without each part in turn, and report what the part adds."""
        self._metrics = _pool_metrics(parts_SPJ @ weights_J, exists_SP, answers_S)
        for place, name in enumerate([*self.parts, TOGETHER, FOLLOWING]):
            others = np.arange(len(weights_J)) != place
            without = parts_SPJ[..., others]
            refitted = fit_conditional_logit(without, exists_SP, answers_S, negative=False)
            recall, ndcg = _pool_metrics(without @ refitted, exists_SP, answers_S)
            self._contributions.append(PartOfBlend(name, float(weights_J[place]), recall, ndcg))
            note = (
                f"{name}: weight {weights_J[place]:.2f}, adds {self._metrics[0] - recall:+.4f} to Recall@20 "
                f"and {self._metrics[1] - ndcg:+.4f} to NDCG@10 (validation)"
            )
            fitting.report(Progress("weigh ensemble", place + 1, len(weights_J), note=note))


def _sampled(cases: HeldOut) -> HeldOut:
    """Return the cases, or a random sample of `_MAX_USERS` of them with a fixed seed."""
    if len(cases) <= _MAX_USERS:
        return cases
    chosen = np.sort(np.random.default_rng(0).permutation(len(cases))[:_MAX_USERS])
    return cases.of_users(chosen)


def _pool_metrics(
    scores_SP: npt.NDArray[np.floating], exists_SP: npt.NDArray[np.bool_], answers_S: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Return Recall@20 and NDCG@10 within the pools."""
    if not len(answers_S):
        return 0.0, 0.0
    ranks = ranks_of_answers(np.where(exists_SP, scores_SP, -np.inf).astype(np.float64), answers_S)
    return recall_at(ranks, 20), ndcg_at(ranks, 10)
