"""The Python face: both stages from a notebook or a program."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from llamarec_cli.artefacts.contents import wrong_contents
from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.histories import History
from llamarec_cli.errors import HistoryError
from llamarec_cli.pipeline.recommend.recommendations import Recommendation, Recommendations
from llamarec_cli.pipeline.recommend.recommender import Recommender
from llamarec_cli.store.home import default_home
from llamarec_cli.store.registry import Store


class LlamaRec:
    """A retriever and a ranker of the store, loaded once.

    >>> from llamarec_cli import LlamaRec
    >>> rec = LlamaRec.load("ml-100k")
    >>> best = rec.recommend(["The Film 05 (1955)", "The Film 06 (1956)"], top=3)
    >>> len(best)
    3
    >>> best[0].probability >= best[1].probability
    True

    With a retriever of your own, the language model ranks what that found:

    >>> ranked = rec.rank(["The Film 05 (1955)"], ["The Film 07 (1957)", "The Film 30 (1980)"])
    >>> sorted(item.title for item in ranked)
    ['The Film 07 (1957)', 'The Film 30 (1980)']

    And the first stage alone:

    >>> len(rec.retrieve(["The Film 05 (1955)"], k=5))
    5
    """

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender

    @classmethod
    def load(cls, dataset: str | None = None, *, ranker: str | None = None, home: Path | None = None) -> Self:
        """Load both stages, fetching the starter's data where nothing is named.

        Args:
            dataset: Name of the data set; the starter's by default.
            ranker: Name of the ranker; `DATASET/smollm2-135m` by default.
            home: The store's folder; `LLAMAREC_HOME` or the platform's by default.

        Raises:
            LlamaRecError: There is no such ranker.
        """
        context = Context(Store(home or default_home(), wrong_contents), command="LlamaRec.load")
        return cls(Recommender(context, dataset, ranker))

    def recommend(self, history: History, top: int | None = None) -> list[Recommendation]:
        """Return the best items for one history, best first.

        Args:
            history: Titles or item ids, oldest first; numbers are ids; what is not known is left out, with a warning.
            top: Length of the list; 10, or all candidates where these are fewer.

        Raises:
            LlamaRecError: No entry of the history is known.
        """
        return self._told(self._recommender.recommend(_checked(history), top)).items

    def recommend_many(self, histories: Sequence[History], top: int | None = None) -> list[list[Recommendation]]:
        """Return the best items for each of several histories, which are ranked together where that is faster.

        Raises:
            LlamaRecError: As `recommend`; before anything is ranked, if no entry of one of the histories is known.
        """
        for history in histories:
            self._recommender.known(_checked(history))
        lists: list[list[Recommendation]] = []
        for found in self._recommender.recommend_many(histories, top):
            if isinstance(found, HistoryError):
                raise found
            lists.append(self._told(found).items)
        return lists

    def rank(self, history: History, candidates: History) -> list[Recommendation]:
        """Rank candidates of your own by the language model alone, best first.

        Args:
            history: Titles or item ids, oldest first.
            candidates: Titles or item ids, all of which must be known.

        Raises:
            LlamaRecError: No entry of the history, or one of the candidates, is not known.
        """
        return self._recommender.rank(_checked(history), _checked(candidates))

    def retrieve(self, history: History, k: int = 20) -> list[Recommendation]:
        """Return the first stage's candidates, best first; their probabilities are over these alone.

        Args:
            history: Titles or item ids, oldest first.
            k: Number of candidates.

        Raises:
            LlamaRecError: No entry of the history is known.
        """
        return self._recommender.retrieve(_checked(history), k)

    def _told(self, found: Recommendations) -> Recommendations:
        """Warn of entries of a history that are not known and were left out, and of those that several items fit."""
        for entry in found.unknown:
            warnings.warn(f"{entry!r} is not known and is left out.", stacklevel=3)
        for ambiguity in found.ambiguous:
            warnings.warn(ambiguity.sentence(), stacklevel=3)
        return found


def _checked(titles: History) -> History:
    """Return what was given, unless it is one title, which Python would take for a list of its letters."""
    if isinstance(titles, str):
        raise TypeError(f"a list of titles or item ids is asked for, not {titles!r} alone")
    return titles
