"""Both stages together: histories in, ranked lists out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import of_places, ranker_name
from llamarec_cli.data.histories import History
from llamarec_cli.data.splits import Sequences
from llamarec_cli.data.title_index import Match, TitleIndex
from llamarec_cli.errors import HistoryError, LlamaRecError, UsageError, shown
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.both_stages import load_both_stages
from llamarec_cli.pipeline.recommend.recommendations import (
    Recommendation,
    Recommendations,
    ambiguities,
    ranking_sentence,
)
from llamarec_cli.pipeline.starter import STARTER_DATASET
from llamarec_cli.ranking.examples import MAX_HISTORY, RankingExample
from llamarec_cli.ranking.fusion import Places, before_the_rest
from llamarec_cli.ranking.scorer import CandidateScorer, score_examples
from llamarec_cli.ranking.signals import CHEAP, Array
from llamarec_cli.retrieval.candidates import Candidates, retrieve
from llamarec_cli.strategies.prompt import MAX_CANDIDATES

DEFAULT_TOP = 10
# Users that are ranked together, where that is faster.
_USERS_AT_ONCE = 64


class Recommender:
    """Both stages, loaded once, for any number of histories.

    Args:
        context: Surroundings.
        dataset: Name of the data set; the starter's by default.
        ranker: Name of the ranker; `DATASET/smollm2-135m` by default.
        k: Candidates that are ranked; as many as the ranker was made for by default.
        fusion: Whether the fitted final score decides; else the language model alone.
        strategy: How the language model is read, alone, if not in the way that the ranker was made for.
        precision: What the language model computes in; by default what the device is best at.

    Raises:
        LlamaRecError: There is no such ranker.
        UsageError: `k` is out of range.
    """

    def __init__(
        self,
        context: Context,
        dataset: str | None = None,
        ranker: str | None = None,
        *,
        k: int | None = None,
        fusion: bool = True,
        strategy: str | None = None,
        precision: Precision | None = None,
    ) -> None:
        if k is not None and not 1 <= k <= MAX_CANDIDATES:
            raise UsageError(f"--k must be between 1 and {MAX_CANDIDATES}, not {k}.", "llamarec recommend --help")
        self._context = context
        self.dataset = dataset or STARTER_DATASET
        self.data, self.retriever, self.ranker = load_both_stages(
            context, self.dataset, ranker or ranker_name(self.dataset), precision
        )
        groups, config = self.ranker.groups, self.ranker.artefact.manifest.config
        own = groups.model
        other = None if strategy is None or strategy == own else strategy
        if other is None and own is None and not fusion:
            other = "likelihood"
        self._group = own if own is not None and (strategy == own or not fusion) else groups.chosen
        self._read_by = {"strategy": other, "precision": precision and str(precision)}
        # Instead of the fused score, if the language model is read in a way that no score was fitted for.
        self._instead = None if other is None else self.ranker.load_strategy(other)
        self._reads = self._instead is not None or groups.reads(self._group)
        self.k: int = k or config["k" if self._reads else "pool"]
        # A language model reads the best of a whole pool.
        self._pool = max(self.k, config["pool"]) if self._reads else self.k
        coefficients = groups.fitted[self._group].fusion.coefficients
        self._ranked_by = [str(other)] if other is not None else list(coefficients)
        if self._reads:
            self._wanted: set[str] = set(CHEAP)
        else:
            self._wanted = set(coefficients) & set(CHEAP)
            if precision is not None:
                raise UsageError(
                    f"{self.ranker.artefact.manifest.name} ranks without asking its language model, so --precision "
                    "would change nothing.",
                    "Leave it out, or add --no-fusion.",
                )
        context.say(ranking_sentence(self._ranked_by, self.retriever.model, config["base"]))
        self.index = TitleIndex(self.data.titles, self.data.item_ids, self.data.popularity().tolist())

    def recipe(self, top: int | None) -> dict[str, Any]:
        """Return all that decides about a list beside the history, as JSON would hold it."""
        artefact = self.ranker.artefact
        return {
            "ranker": artefact.manifest.name,
            "digest": artefact.manifest.digest,
            "retriever": self.retriever.artefact.manifest.digest,
            "k": self.k,
            "top": self.length(top),
            "group": self._group,
            **self._read_by,
        }

    def say_what_is_unnamed(self) -> None:
        """Warn of the candidates that a language model left out of the lists it generated."""
        if self._instead is not None and self._instead.unnamed:
            self._context.warn(
                f"{self._instead.unnamed:,} candidates were not in what the language model generated; they stand "
                "behind the others, in the retriever's order."
            )

    def load_for_file(self) -> None:
        """Load the language model now, if it counts, and let no user's list depend on the users before.

        Raises:
            LlamaRecError: It cannot be had.
        """
        if reader := self._reader():
            reader.disable_cache()

    def length(self, top: int | None) -> int:
        """Return how long a list is if `top` is asked for: 10 by default, or `k` where that is less.

        Raises:
            UsageError: It is out of range.
        """
        if top is None:
            return min(DEFAULT_TOP, self.k)
        if not 1 <= top <= self.k:
            raise UsageError(
                f"--top must be between 1 and the number of candidates, {self.k}, not {top}.",
                "llamarec recommend --help",
            )
        return top

    def recommend(self, history: History, top: int | None = None) -> Recommendations:
        """Recommend for one history.

        Args:
            history: Titles or raw ids, oldest first.
            top: Length of the list; 10 by default, or `k` where that is less.

        Raises:
            LlamaRecError: No entry of the history is known, or it holds every item.
            UsageError: `top` is out of range.
        """
        (found,) = self.recommend_many([history], top)
        if isinstance(found, HistoryError):
            raise found
        return found

    def recommend_many(
        self, histories: Sequence[History], top: int | None = None
    ) -> list[Recommendations | HistoryError]:
        """Recommend for several histories, together where that takes less time; see `recommend`.

        Args:
            histories: Titles or raw ids, oldest first.
            top: Length of the lists; 10 by default, or `k` where that is less.

        Returns:
            For each history a list, or why there is none.

        Raises:
            UsageError: `top` is out of range.
        """
        length = self.length(top)
        # One alone may be refused, before a language model is loaded to say how many it would take.
        at_once = self.users_at_once if len(histories) > 1 else 1
        found: list[Recommendations | HistoryError] = []
        for begin in range(0, len(histories), at_once):
            found += self._recommend_together(histories[begin : begin + at_once], length)
        return found

    def _recommend_together(self, histories: Sequence[History], length: int) -> list[Recommendations | HistoryError]:
        matched = [self._matches(history) for history in histories]
        known = [_items_of(matches) for matches in matched]
        asked = [items for items in known if len(items)]
        ranked: Iterator[tuple[npt.NDArray[np.int32], Array]] = iter(())
        if asked:
            candidates = self._retrieve(asked, self._pool)
            ranked = zip(candidates.items_SK, self._score(asked, candidates), strict=True)
        return [
            self._best(matches, items, *next(ranked), length) if len(items) else self._none_known(matches)
            for matches, items in zip(matched, known, strict=True)
        ]

    @property
    def users_at_once(self) -> int:
        """How many users are ranked together: several, unless a language model reads one after another."""
        reader = self._reader()
        return _USERS_AT_ONCE if reader is None or reader.ranks_together else 1

    def _reader(self) -> CandidateScorer | None:
        """Return the language model as it is read here, loading it if it is not yet; None if it does not count."""
        return self.ranker.source.scorer if self._reads and self._instead is None else self._instead

    def known(self, history: History) -> npt.NDArray[np.int32]:
        """Return the items of a history that are known.

        Raises:
            HistoryError: None is.
        """
        matches = self._matches(history)
        items = _items_of(matches)
        if not len(items):
            raise self._none_known(matches)
        return items

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
            raise UsageError(f"k must be at least 1, not {k}.", "Leave it out for 20.")
        items = self.known(history)
        candidates = self._retrieve([items], k)
        pool = candidates.items_SK[0][candidates.items_SK[0] > 0]
        if not len(pool):
            raise self._nothing_left()
        return self._listed(pool, candidates.log_probabilities()[0][: len(pool)])

    def rank(self, history: History, candidates: History) -> list[Recommendation]:
        """Rank candidates from elsewhere by the language model alone, best first.

        Args:
            history: Titles or raw ids, oldest first.
            candidates: Titles or raw ids.

        Raises:
            LlamaRecError: No entry of the history, or one of the candidates, is not known; or there are no candidates.
        """
        if not candidates:
            raise LlamaRecError("There are no candidates to rank.", "Give at least one title or item id.")
        items = self.known(history)
        found = self._matches(candidates)
        if unknown := [match.given for match in found if match.item is None]:
            raise LlamaRecError(f"{self.dataset} does not know the candidate {shown(unknown[0])}.", "Leave it out.")
        pool = np.array([match.item for match in found], dtype=np.int32)
        scores = self.ranker.source.scorer.rank(items[-MAX_HISTORY:].tolist(), pool.tolist())
        order = np.argsort(-scores, kind="stable")
        return self._listed(pool[order], scores[order])

    def _matches(self, history: History) -> list[Match]:
        return [self.index.find(entry) for entry in history]

    def _retrieve(self, histories: Sequence[npt.NDArray[np.int32]], k: int) -> Candidates:
        offsets = np.cumsum([0, *map(len, histories)])
        return retrieve(self.retriever.model, Sequences(np.concatenate(histories), offsets), k)

    def _score(self, histories: Sequence[npt.NDArray[np.int32]], candidates: Candidates) -> Array:
        """Return the final log-probability of each item of the pools, S x P; minus infinity where none exists."""
        exists_SP = candidates.items_SK > 0
        scores_SP = np.full(exists_SP.shape, -np.inf)
        rows = np.flatnonzero(exists_SP.any(axis=1))
        examples = [
            RankingExample(histories[row][-MAX_HISTORY:], candidates.items_SK[row][exists_SP[row]], 0)
            for row in rows.tolist()
        ]
        signals = self.ranker.source.compute(examples, candidates.of_users(rows), self._wanted)
        groups, exists = self.ranker.groups, exists_SP[rows]

        def read(places_SK: Places) -> Array:
            scorer = self._reader()
            assert scorer is not None
            some = [of_places(example, places_K) for example, places_K in zip(examples, places_SK, strict=True)]
            return score_examples(scorer, some, places_SK.shape[1], "rank")

        if self._instead is None:
            scores_SP[rows] = groups.log_probabilities(self._group, signals, exists, read)
        else:
            first_SP, places_SK = groups.candidates(signals, exists, self.k)
            scores_SP[rows] = before_the_rest(first_SP, places_SK, read(places_SK))
        return scores_SP

    def _best(
        self,
        matches: list[Match],
        items: npt.NDArray[np.int32],
        pool_K: npt.NDArray[np.int32],
        scores_K: Array,
        length: int,
    ) -> Recommendations | HistoryError:
        if not pool_K.any():
            return self._nothing_left()
        # Candidates come in the retriever's order, which a stable sort keeps among equals.
        order = np.argsort(-scores_K, kind="stable")[: min(length, np.count_nonzero(pool_K))]
        return Recommendations(
            dataset=self.dataset,
            ranker=self.ranker.artefact.manifest.name,
            ranked_by=self._ranked_by,
            history=[self.data.titles[item] for item in items],
            matches=matches,
            items=self._listed(pool_K[order], scores_K[order]),
            history_ids=[self.data.item_ids[item] for item in items],
            ambiguous=ambiguities(matches, self.data.item_ids, self.data.titles),
            titles_repeat=any(self.index.is_shared(int(item)) for item in pool_K[order]),
        )

    def _none_known(self, matches: Sequence[Match]) -> HistoryError:
        near = self.index.nearest(matches[0].given) if matches and not matches[0].by_id else ()
        ids = ", ".join(self.data.item_ids[1:4])
        return HistoryError(
            f"{self.dataset} knows none of the {len(matches)} titles in this history.",
            f"The nearest to {shown(matches[0].given)} is {near[0]!r}."
            if near
            else f"Is it a history of another data set? Item ids of this one are such as {ids}.",
        )

    def _nothing_left(self) -> HistoryError:
        return HistoryError(
            f"The history holds every item of {self.dataset}, so nothing is left to recommend.", "Shorten it."
        )

    def _listed(self, items: npt.NDArray[np.int32], log_probabilities: npt.NDArray[np.float64]) -> list[Recommendation]:
        return [
            Recommendation(self.data.item_ids[item], self.data.titles[item], float(np.exp(log_probability)))
            for item, log_probability in zip(items, log_probabilities, strict=True)
        ]


def _items_of(matches: Sequence[Match]) -> npt.NDArray[np.int32]:
    return np.array([match.item for match in matches if match.item is not None], dtype=np.int32)
