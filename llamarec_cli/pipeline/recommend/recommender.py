"""Both stages together: histories in, ranked lists out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import ranker_name
from llamarec_cli.data.histories import History
from llamarec_cli.errors import HistoryError, UsageError, shown
from llamarec_cli.names import parse_precision
from llamarec_cli.pipeline.both_stages import load_both_stages
from llamarec_cli.pipeline.recommend.matching import HistoryMatcher, Items, MatchedHistory
from llamarec_cli.pipeline.recommend.options import RecommendOptions, list_length
from llamarec_cli.pipeline.recommend.recommendations import Recommendation, Recommendations, ranking_sentence
from llamarec_cli.pipeline.recommend.scoring import TwoStageScorer
from llamarec_cli.pipeline.starter import STARTER_DATASET
from llamarec_cli.ranking.signals import Array


class Recommender:
    """Both stages, loaded once, for any number of histories.

    Args:
        context: Store and reporting callbacks.
        dataset: Name of the data set; the starter's by default.
        ranker: Name of the ranker; `DATASET/smollm2-135m` by default.
        options: Options of the lists.

    Attributes:
        scorer: Retrieves and scores candidates; its language model is loaded at the first use.
        matcher: Looks up histories.

    Raises:
        LlamaRecError: There is no such ranker.
        UsageError: An option does not fit the ranker.
    """

    def __init__(
        self,
        context: Context,
        dataset: str | None = None,
        ranker: str | None = None,
        options: RecommendOptions | None = None,
    ) -> None:
        options = options or RecommendOptions()
        self._context = context
        self._dataset = dataset or STARTER_DATASET
        self._top = options.top
        self._data, retriever, trained = load_both_stages(
            context, self._dataset, ranker or ranker_name(self._dataset), parse_precision(options.precision)
        )
        manifest = trained.artefact.manifest
        self._ranker = manifest.name
        self.scorer = TwoStageScorer(retriever, trained, options, repeats=self._data.repeats)
        self.length()  # refuses `top` before any work
        context.say(ranking_sentence(self.scorer.ranked_by, retriever.model, manifest.config["base"]))
        self.matcher = HistoryMatcher(self._dataset, self._data)

    def recipe(self) -> dict[str, Any]:
        """Return all that decides about a list beside the history, as JSON."""
        return {**self.scorer.recipe(), "top": self.length()}

    def length(self, top: int | None = None) -> int:
        """Return the length of a list.

        Args:
            top: The length asked for; that of the options by default.

        Raises:
            UsageError: It is more than the number of candidates, or less than 1.
        """
        return list_length(self._top if top is None else top, self.scorer.k)

    def recommend(self, history: History, top: int | None = None) -> Recommendations:
        """Recommend for one history, and warn of entries that are unknown or ambiguous.

        Args:
            history: Titles or raw ids, oldest first.
            top: Length of the list; that of the options by default.

        Raises:
            LlamaRecError: No entry of the history is known, or it holds every item.
            UsageError: `top` is out of range.
        """
        length, unnamed = self.length(top), self.scorer.unnamed
        matched = self.matcher.match(history)
        self.matcher.warn_of_entries(matched, self._context.warn)
        (found,) = self._recommend_together([matched], length)
        if isinstance(found, HistoryError):
            raise found
        warn_of_unnamed(self.scorer.unnamed - unnamed, self._context.warn)
        return found

    def recommend_many(
        self, histories: Sequence[MatchedHistory], top: int | None = None
    ) -> list[Recommendations | HistoryError]:
        """Recommend for several histories, ranked together where that is faster.

        Args:
            histories: Histories that `matcher` has looked up.
            top: Length of the lists; that of the options by default.

        Returns:
            For each history a list, or why there is none.

        Raises:
            UsageError: `top` is out of range.
        """
        length = self.length(top)
        # A single history may be refused, which needs no language model.
        at_once = self.scorer.users_at_once if len(histories) > 1 else 1
        found: list[Recommendations | HistoryError] = []
        for begin in range(0, len(histories), at_once):
            found += self._recommend_together(histories[begin : begin + at_once], length)
        return found

    def retrieve(self, history: History, k: int) -> list[Recommendation]:
        """Return the first stage's candidates, best first; probabilities are over these alone.

        Args:
            history: Titles or raw ids, oldest first.
            k: Number of candidates.

        Raises:
            LlamaRecError: No entry of the history is known, or it holds every item.
            UsageError: `k` is out of range.
        """
        if k < 1:
            raise UsageError(f"`k` must be at least 1, not {shown(k)}.", "Leave it out for 20.")
        items = self.matcher.known_items(self.matcher.match(history))
        candidates = self.scorer.retrieve([items], k)
        pool = candidates.items_SK[0][candidates.items_SK[0] > 0]
        if not len(pool):
            raise self.matcher.all_known()
        return self._listed(pool, candidates.log_probabilities()[0][: len(pool)])

    def rank(self, history: History, candidates: History) -> list[Recommendation]:
        """Rank candidates from elsewhere by the language model alone, best first.

        Args:
            history: Titles or raw ids, oldest first.
            candidates: Titles or raw ids.

        Raises:
            LlamaRecError: No entry of the history, or one of the candidates, is unknown; or there are no candidates.
        """
        pool = self.matcher.candidate_items(candidates)
        scores = self.scorer.score_alone(self.matcher.known_items(self.matcher.match(history)), pool)
        order = np.argsort(-scores, kind="stable")
        return self._listed(pool[order], scores[order])

    def _recommend_together(
        self, histories: Sequence[MatchedHistory], length: int
    ) -> list[Recommendations | HistoryError]:
        known = [matched.items for matched in histories if len(matched.items)]
        ranked: Iterator[tuple[Items, Array]] = iter(())
        if known:
            candidates = self.scorer.retrieve(known)
            ranked = zip(candidates.items_SK, self.scorer.score(known, candidates), strict=True)
        return [
            self._best(matched, *next(ranked), length) if len(matched.items) else self.matcher.none_known(matched)
            for matched in histories
        ]

    def _best(
        self, matched: MatchedHistory, pool_K: Items, scores_K: Array, length: int
    ) -> Recommendations | HistoryError:
        if not pool_K.any():
            return self.matcher.all_known()
        # Candidates are in the retriever's order, which a stable sort keeps among equals.
        order = np.argsort(-scores_K, kind="stable")[: min(length, np.count_nonzero(pool_K))]
        titles, item_ids = self._data.titles, self._data.item_ids
        return Recommendations(
            dataset=self._dataset,
            ranker=self._ranker,
            ranked_by=self.scorer.ranked_by,
            history=[titles[item] for item in matched.items],
            matches=matched.matches,
            items=self._listed(pool_K[order], scores_K[order]),
            history_ids=[item_ids[item] for item in matched.items],
            ambiguous=matched.ambiguous,
            titles_repeat=any(self.matcher.index.is_shared(int(item)) for item in pool_K[order]),
        )

    def _listed(self, items: Items, log_probabilities: Array) -> list[Recommendation]:
        return [
            Recommendation(self._data.item_ids[item], self._data.titles[item], float(np.exp(log_probability)))
            for item, log_probability in zip(items, log_probabilities, strict=True)
        ]


def warn_of_unnamed(count: int, warn: Callable[[str], None]) -> None:
    """Warn of candidates that are missing from generated text."""
    if count:
        warn(
            f"{count:,} candidates are missing from what the language model generated; they follow the others, in the "
            "retriever's order."
        )
