"""Validation during adapter training, with a check for position bias.

The same users are ranked twice, with their candidates in the retriever's order and shuffled. A model with a high NDCG
in the first case only has learnt that early letters are the retriever's favourites, and ignores the titles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.evaluation.metrics import Gains, ndcg_at, ndcg_per_user, ranks_of_answers
from llamarec_cli.progress import Progress, Reporter
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

# With fewer users a standard error is unreliable.
_MIN_USERS = 20


@dataclass(frozen=True)
class ValidationSet:
    """Validation users whose item is among their candidates, in the retriever's order.

    Attributes:
        examples: One per user.
    """

    examples: list[RankingExample]

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """Index of each user's true item among the candidates."""
        return np.array([example.answer for example in self.examples], dtype=np.int64)

    def shuffled(self, seed: int) -> ValidationSet:
        """Return the same users with their candidates in a random order that depends on the seed alone."""
        examples = []
        for index, example in enumerate(self.examples):
            order = np.random.default_rng([seed, 3, index]).permutation(len(example.candidates))
            answer = int(np.flatnonzero(order == example.answer)[0])
            examples.append(RankingExample(example.history, example.candidates[order], answer))
        return ValidationSet(examples)


@dataclass(frozen=True)
class RankerValidation:
    """One validation.

    Attributes:
        step: Optimiser steps so far.
        examples: Examples seen so far.
        loss: Mean training loss since the last validation, in nats; 0 before the first step.
        ndcg: NDCG@10 of the verbalizer alone with shuffled candidates; selects the best step.
        ordered_ndcg: NDCG@10 with the candidates in the retriever's order, as at inference.
        accuracy: Share of users whose true item is ranked first, with shuffled candidates.
        letter_mass: Mean probability of the candidates' letters in the distribution over the vocabulary.
        follows_order: Whether the model ranks by the order of the candidates instead of their titles; see
            `follows_order`.
    """

    step: int
    examples: int
    loss: float
    ndcg: float
    ordered_ndcg: float
    accuracy: float
    letter_mass: float
    follows_order: bool


def validate(
    engine: RankingEngine, users: ValidationSet, step: int, seen: int, loss: float, seed: int, report: Reporter
) -> RankerValidation:
    """Rank users with their candidates in order and shuffled.

    Args:
        engine: Scorer of the current model.
        users: Validation users.
        step: Optimiser steps so far.
        seen: Examples seen so far.
        loss: Mean training loss since the last validation.
        seed: Seed of the shuffling; the same at every validation.
        report: Progress callback, in users.
    """
    ordered, shuffled = (np.empty(len(users.examples), dtype=np.int32) for _ in range(2))
    masses: list[float] = []
    # One directly after the other, so that the second finds the history's keys and values in the cache.
    for index, (in_order, mixed) in enumerate(zip(users.examples, users.shuffled(seed).examples, strict=True)):
        ordered[index], _ = _rank(engine, in_order)
        shuffled[index], mass = _rank(engine, mixed)
        masses.append(mass)
        report(Progress("validate", index + 1, len(users.examples)))
    accuracy = float((shuffled == 1).mean())
    return RankerValidation(
        step,
        seen,
        loss,
        ndcg_at(shuffled, 10),
        ndcg_at(ordered, 10),
        accuracy,
        float(np.mean(masses)),
        follows_order(ndcg_per_user(ordered, 10), ndcg_per_user(shuffled, 10), expected_ndcg_of_chance(users)),
    )


def follows_order(ordered_S: Gains, shuffled_S: Gains, chance: float) -> bool:
    """Return whether a model ranks by the order of the candidates and ignores their titles.

    That is the case if its NDCG@10 is significantly higher with the candidates in the retriever's order than with
    shuffled candidates, where it is not significantly above chance. Significant is more than two standard errors. With
    fewer than 20 users the result is always False.

    Args:
        ordered_S: NDCG@10 of each user with the candidates in the retriever's order.
        shuffled_S: NDCG@10 of each user with shuffled candidates.
        chance: Expected NDCG@10 of a random order.
    """

    def above_0(values_S: Gains) -> bool:
        return bool(values_S.mean() > 2 * values_S.std(ddof=1) / np.sqrt(len(values_S)))

    return len(ordered_S) >= _MIN_USERS and above_0(ordered_S - shuffled_S) and not above_0(shuffled_S - chance)


def describe_validation(validation: RankerValidation, users: ValidationSet) -> str:
    """Return a line for the log, with a warning if the model ranks by the order of the candidates."""
    chance = expected_ndcg_of_chance(users)
    shown_loss = f"loss {validation.loss:.3f}" if validation.step else "untrained"
    note = (
        f"step {validation.step:,} ({validation.examples:,} examples): {shown_loss}; NDCG@10 with candidates shuffled "
        f"{validation.ndcg:.4f} (chance {chance:.4f}), in the retriever's order {validation.ordered_ndcg:.4f} "
        f"(retriever {ndcg_at(users.answers + 1, 10):.4f}); accuracy {validation.accuracy:.3f}, letter mass "
        f"{validation.letter_mass:.0%}; {len(users.examples)} users"
    )
    if validation.follows_order:
        note += "; it ranks by the order of the candidates, not by their titles"
    return note


def _rank(engine: RankingEngine, example: RankingExample) -> tuple[int, float]:
    """Return the rank of a user's true item, and the letter mass."""
    scores, mass = engine.rank_with_mass(example.history.tolist(), example.candidates.tolist())
    return int(ranks_of_answers(scores[None], np.array([example.answer]))[0]), mass


def expected_ndcg_of_chance(users: ValidationSet) -> float:
    """Return the expected NDCG@10 of a random order of the candidates."""
    counts = [len(example.candidates) for example in users.examples]
    return float(np.mean([(1 / np.log2(np.arange(2, 2 + min(10, count)))).sum() / count for count in counts]))
