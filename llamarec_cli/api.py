"""The Python interface: both stages from a notebook or a program."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from llamarec_cli.artefacts.contents import wrong_contents
from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.histories import History
from llamarec_cli.errors import HistoryError
from llamarec_cli.pipeline.recommend.options import RecommendOptions
from llamarec_cli.pipeline.recommend.recommendations import Recommendation
from llamarec_cli.pipeline.recommend.recommender import Recommender, warn_of_unnamed
from llamarec_cli.store.home import default_home
from llamarec_cli.store.registry import Store


class LlamaRec:
    """A retriever and a ranker from the store, loaded once.

    >>> from llamarec_cli import LlamaRec
    >>> rec = LlamaRec.load("ml-100k")
    >>> best = rec.recommend(["The Film 05 (1955)", "The Film 06 (1956)"], top=3)
    >>> len(best)
    3
    >>> best[0].probability >= best[1].probability
    True

    The language model can rank candidates of another retriever:

    >>> ranked = rec.rank(["The Film 05 (1955)"], ["The Film 07 (1957)", "The Film 30 (1980)"])
    >>> sorted(item.title for item in ranked)
    ['The Film 07 (1957)', 'The Film 30 (1980)']

    The first stage alone:

    >>> len(rec.retrieve(["The Film 05 (1955)"], k=5))
    5

    Options of the lists are those of the command line:

    >>> few = LlamaRec.load("ml-100k", k=5, fusion=False)
    >>> len(few.recommend(["The Film 05 (1955)"]))
    5
    >>> few.recommend(["The Film 05 (1955)"], top=99)
    Traceback (most recent call last):
    ...
    llamarec_cli.errors.UsageError: `top` must be between 1 and 5, not 99.

    Warnings about a history or a result are Python warnings; what is done is logged to the logger `llamarec`.
    """

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender

    @classmethod
    def load(
        cls,
        dataset: str | None = None,
        *,
        ranker: str | None = None,
        home: Path | None = None,
        k: int | None = None,
        strategy: str | None = None,
        precision: str | None = None,
        fusion: bool = True,
    ) -> Self:
        """Load both stages; by default the starter, whose data is fetched if it is missing.

        Args:
            dataset: Name of the data set; the starter's by default.
            ranker: Name of the ranker; `DATASET/smollm2-135m` by default.
            home: The store's folder; `LLAMAREC_HOME` or the platform's by default.
            k: Number of candidates to rank; that of the ranker by default.
            strategy: Rank by the language model alone, with this strategy.
            precision: Data type of the language model; by default the adapter's or the device's.
            fusion: Whether to rank by the fitted fusion of signals; otherwise by the language model alone.

        Raises:
            LlamaRecError: There is no such ranker, or an option is out of range.
        """
        options = RecommendOptions(k=k, strategy=strategy, precision=precision, fusion=fusion)
        store = Store(home or default_home(), wrong_contents)
        context = Context(store, "LlamaRec.load", say=logging.getLogger("llamarec").info, warn=_warn)
        return cls(Recommender(context, dataset, ranker, options))

    def recommend(self, history: History, top: int | None = None) -> list[Recommendation]:
        """Return the best items for one history, best first.

        Args:
            history: Titles or item ids, oldest first; numbers are ids. Unknown entries are left out, with a warning.
            top: Length of the list; 10 by default, or the number of candidates if that is less.

        Raises:
            LlamaRecError: No entry of the history is known, or `top` is out of range.
        """
        return self._recommender.recommend(_checked(history), top).items

    def recommend_many(self, histories: Sequence[History], top: int | None = None) -> list[list[Recommendation]]:
        """Return the best items for each of several histories, ranked together where that is faster.

        Args:
            histories: As in `recommend`.
            top: As in `recommend`.

        Raises:
            LlamaRecError: As in `recommend`. A history without a known entry is refused before any is ranked.
        """
        matcher = self._recommender.matcher
        matched = [matcher.match(_checked(history)) for history in histories]
        for history in matched:
            matcher.known_items(history)
            matcher.warn_of_entries(history, _warn)
        lists: list[list[Recommendation]] = []
        unnamed = self._recommender.scorer.unnamed
        for found in self._recommender.recommend_many(matched, top):
            if isinstance(found, HistoryError):
                raise found
            lists.append(found.items)
        warn_of_unnamed(self._recommender.scorer.unnamed - unnamed, _warn)
        return lists

    def rank(self, history: History, candidates: History) -> list[Recommendation]:
        """Rank candidates of your own by the language model alone, best first.

        This leaves out the first stage and the fusion, so the order may be worse than that of `recommend`.

        Args:
            history: Titles or item ids, oldest first.
            candidates: Titles or item ids, all of which must be known.

        Raises:
            LlamaRecError: No entry of the history, or one of the candidates, is unknown.
        """
        _warn("`rank` uses the language model alone, which may rank worse than both stages together (`recommend`).")
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


def _warn(message: str) -> None:
    """Warn at the line outside this package from which it was called."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == __name__.partition(".")[0]:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def _checked(titles: History) -> History:
    """Return a list of titles or item ids unchanged; refuse a single title, which is a sequence of letters."""
    if isinstance(titles, str):
        raise TypeError(f"a list of titles or item ids is asked for, not {titles!r} alone")
    return titles
