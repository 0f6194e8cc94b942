"""What is measured while a ranker trains: is it learning the taste, or the order of the candidates?

The same users are ranked twice, with their candidates in the retriever's order and shuffled. A model that is good at
the first and not at the second has learnt that early letters are the retriever's favourites, and no title.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.evaluation.metrics import Gains, ndcg_at, ndcg_per_user, ranks_of_answers
from llamarec_cli.progress import Progress, Reporter
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

# Users that a standard error needs.
_ENOUGH_USERS = 20


@dataclass(frozen=True)
class ValidationSet:
    """Validation users whose item is among their candidates, in the retriever's order.

    Attributes:
        examples: One a user; `answer` is the place of the true item.
    """

    examples: list[RankingExample]

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """Place of each true item."""
        return np.array([example.answer for example in self.examples], dtype=np.int64)

    def divided(self, count: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Draw users that select the best step of a training, and return their indices and those of the others.

        The others were not looked at while an adapter was chosen, so that a fusion fitted on them may trust it.

        Args:
            count: How many are drawn; 0 for half of them, and at most half.
            seed: Of the draw.
        """
        users = len(self.examples)
        drawn = min(count or users, max(1, users // 2))
        order = np.random.default_rng([seed, 2]).permutation(users)
        return np.sort(order[:drawn]), np.sort(order[drawn:])

    def subset(self, users: npt.NDArray[np.int64]) -> ValidationSet:
        """Return some of the users."""
        return ValidationSet([self.examples[user] for user in users])

    def shuffled(self, seed: int) -> ValidationSet:
        """Return the same users with their candidates in random order, always the same for a seed.

        A model that has learnt that the first letters are the retriever's favourites shows nothing here.
        """
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
        step: Optimiser steps before it.
        examples: Examples seen before it.
        loss: Mean training loss since the last validation, in nats; NaN-free: 0 before the first step.
        ndcg: NDCG@10 of the verbalizer alone on the validation sample, candidates shuffled. This selects.
        ordered_ndcg: The same with the candidates in the retriever's order, as users get them.
        accuracy: Share of the sample whose true item came first, candidates shuffled.
        letter_mass: Mean probability that the vocabulary leaves to the candidates' letters.
        follows_order: Whether it ranks by the order of the candidates and not by their titles, beyond chance.
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
        engine: The model as it is now.
        users: Who selects the best step.
        step: Optimiser steps so far.
        seen: Examples so far.
        loss: Mean training loss since the last validation.
        seed: Of the shuffling; the same at every validation.
        report: Progress in users.
    """
    ordered, shuffled = (np.empty(len(users.examples), dtype=np.int32) for _ in range(2))
    masses: list[float] = []
    # One right after the other, so that the second finds the history's keys and values.
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
    """Tell whether a model ranks by the order of the candidates: better in it than shuffled, and then like chance.

    Args:
        ordered_S: NDCG@10 of each user with the candidates in the retriever's order.
        shuffled_S: The same with the candidates shuffled.
        chance: What a random order has on average.

    Returns:
        Whether the first is beyond two standard errors, and the second is not; never for a handful of users, whose
        standard error tells nothing.
    """

    def beyond_0(values_S: Gains) -> bool:
        return bool(values_S.mean() > 2 * values_S.std(ddof=1) / np.sqrt(len(values_S)))

    return len(ordered_S) >= _ENOUGH_USERS and beyond_0(ordered_S - shuffled_S) and not beyond_0(shuffled_S - chance)


def describe_validation(validation: RankerValidation, users: ValidationSet) -> str:
    """Return the sentence for the log, which says so where a model has learnt the order alone."""
    chance = expected_ndcg_of_chance(users)
    shown_loss = f"loss {validation.loss:.3f}" if validation.step else "untrained"
    note = (
        f"step {validation.step:,} ({validation.examples:,} examples): {shown_loss}; NDCG@10 with candidates shuffled "
        f"{validation.ndcg:.4f} (chance {chance:.4f}), in the retriever's order {validation.ordered_ndcg:.4f} "
        f"(retriever {ndcg_at(users.answers + 1, 10):.4f}); accuracy {validation.accuracy:.3f}, letters have "
        f"{validation.letter_mass:.0%} of the probability; {len(users.examples)} users"
    )
    if validation.follows_order:
        note += "; what it ranks by is the order of the candidates, not their titles"
    return note


def _rank(engine: RankingEngine, example: RankingExample) -> tuple[int, float]:
    """Return the rank of a user's true item, and the probability on the letters."""
    scores, mass = engine.rank_with_mass(example.history.tolist(), example.candidates.tolist())
    return int(ranks_of_answers(scores[None], np.array([example.answer]))[0]), mass


def expected_ndcg_of_chance(users: ValidationSet) -> float:
    """Return the NDCG@10 that a random order of the candidates has on average."""
    counts = [len(example.candidates) for example in users.examples]
    return float(np.mean([(1 / np.log2(np.arange(2, 2 + min(10, count)))).sum() / count for count in counts]))
