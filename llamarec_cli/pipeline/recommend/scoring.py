"""Retrieval of candidates by the first stage, and their final scores by the second.

Shapes: S users, P items of a pool, K candidates scored by the language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from llamarec_cli.artefacts.rankers import TrainedRanker, of_places
from llamarec_cli.artefacts.retrievers import TrainedRetriever
from llamarec_cli.data.splits import Sequences
from llamarec_cli.errors import UsageError, command
from llamarec_cli.pipeline.recommend.matching import Items
from llamarec_cli.pipeline.recommend.options import RecommendOptions
from llamarec_cli.ranking.examples import RankingExample, recent
from llamarec_cli.ranking.fusion import FusionGroups, Places, before_the_rest
from llamarec_cli.ranking.scorer import CandidateScorer, score_examples
from llamarec_cli.ranking.signals import CHEAP, Array
from llamarec_cli.retrieval.candidates import Candidates, retrieve
from llamarec_cli.strategies.registry import UNTRAINED_STRATEGY

# Users ranked in one call, where that is faster.
_USERS_AT_ONCE = 64


class TwoStageScorer:
    """Retrieves candidates and scores them, with the fusion or the strategy that the options ask for.

    Args:
        retriever: First stage.
        ranker: Second stage.
        options: Options of the lists.
        repeats: Whether users consume items again, so that items of the history may be recommended.

    Attributes:
        k: Candidates that are ranked.
        ranked_by: Signals of the fusion, or the strategy that ranks alone.

    Raises:
        LlamaRecError: The language model cannot be loaded.
        UsageError: A precision is asked for, but the language model is not needed.
    """

    def __init__(
        self, retriever: TrainedRetriever, ranker: TrainedRanker, options: RecommendOptions, *, repeats: bool
    ) -> None:
        config = ranker.artefact.manifest.config
        self._retriever = retriever
        self._repeats = repeats
        self._ranker = ranker
        self._precision = options.precision
        self._group, self._strategy = _group_and_strategy(ranker.groups, options)
        # Ranks instead of the fusion, which was fitted for the ranker's own strategy.
        self._strategy_scorer = None if self._strategy is None else ranker.load_strategy(self._strategy)
        self._reads = self._strategy_scorer is not None or ranker.groups.reads(self._group)
        self.k: int = options.k or config["k" if self._reads else "pool"]
        # A language model scores the top K of a larger pool.
        self._pool = max(self.k, config["pool"]) if self._reads else self.k
        coefficients = ranker.groups.fitted[self._group].fusion.coefficients
        self.ranked_by = list(coefficients) if self._strategy is None else [self._strategy]
        self._signals = set(CHEAP) if self._reads else set(coefficients) & set(CHEAP)
        if options.precision is not None and not self._reads:
            raise UsageError(
                f"{ranker.artefact.manifest.name} ranks without its language model, so `precision` would change "
                "nothing.",
                f"Leave it out, or rank by the language model alone: {command('recommend', no_fusion=True)}",
            )

    def recipe(self) -> dict[str, Any]:
        """Return all that decides about the scores of a history, as JSON."""
        manifest = self._ranker.artefact.manifest
        return {
            "ranker": manifest.name,
            "digest": manifest.digest,
            "retriever": self._retriever.artefact.manifest.digest,
            "k": self.k,
            "group": self._group,
            "strategy": self._strategy,
            "precision": self._precision and str(self._precision),
            **({"repeats": True} if self._repeats else {}),
        }

    @property
    def users_at_once(self) -> int:
        """Users to be ranked in one call: several, unless the language model takes one after another."""
        scorer = self._scorer()
        return _USERS_AT_ONCE if scorer is None or scorer.ranks_together else 1

    @property
    def unnamed(self) -> int:
        """Number of candidates so far that were missing from generated text."""
        return 0 if self._strategy_scorer is None else self._strategy_scorer.unnamed

    def disable_cache(self) -> None:
        """Load the language model, if there is one, and let no list depend on those before it.

        Raises:
            LlamaRecError: The language model cannot be loaded.
        """
        if scorer := self._scorer():
            scorer.disable_cache()

    def retrieve(self, histories: Sequence[Items], k: int | None = None) -> Candidates:
        """Return the retriever's top items of each history, none of which may be empty.

        Args:
            histories: Item ids, oldest first.
            k: Number of items; by default the size of the pool that is scored.
        """
        sequences = Sequences.of(histories, repeats=self._repeats)
        return retrieve(self._retriever.model, sequences, self._pool if k is None else k)

    def score(self, histories: Sequence[Items], candidates: Candidates) -> Array:
        """Return the final log-probability of each item of the pools, S x P; minus infinity where none exists."""
        exists_SP = candidates.items_SK > 0
        scores_SP = np.full(exists_SP.shape, -np.inf)
        rows = np.flatnonzero(exists_SP.any(axis=1))
        examples = [
            RankingExample.of(histories[row], candidates.items_SK[row][exists_SP[row]]) for row in rows.tolist()
        ]
        signals = self._ranker.source.compute(examples, candidates.of_users(rows), self._signals)
        groups, exists = self._ranker.groups, exists_SP[rows]

        def read(places_SK: Places) -> Array:
            scorer = self._scorer()
            assert scorer is not None
            some = [of_places(example, places_K) for example, places_K in zip(examples, places_SK, strict=True)]
            return score_examples(scorer, some, places_SK.shape[1], "rank")

        if self._strategy_scorer is None:
            scores_SP[rows] = groups.log_probabilities(self._group, signals, exists, read)
        else:
            first_SP, places_SK = groups.candidates(signals, exists, self.k)
            scores_SP[rows] = before_the_rest(first_SP, places_SK, read(places_SK))
        return scores_SP

    def score_alone(self, history: Items, candidates: Items) -> Array:
        """Return the log-probabilities of some candidates by the language model alone, K values in the order given."""
        scorer = self._ranker.source.scorer if self._strategy_scorer is None else self._strategy_scorer
        return scorer.rank(recent(history).tolist(), candidates.tolist())

    def _scorer(self) -> CandidateScorer | None:
        """Return the scorer of the language model, loaded at the first call; None if lists do not depend on it."""
        return self._ranker.source.scorer if self._reads and self._strategy_scorer is None else self._strategy_scorer


def _group_and_strategy(groups: FusionGroups, options: RecommendOptions) -> tuple[str, str | None]:
    """Return the group of signals that ranks, and the strategy that ranks alone instead of it; None for no strategy."""
    own, asked = groups.model, options.strategy
    strategy = None if asked == own else asked
    if strategy is None and own is None and not options.fusion:
        strategy = UNTRAINED_STRATEGY
    group = own if own is not None and (asked == own or not options.fusion) else groups.chosen
    return group, strategy
