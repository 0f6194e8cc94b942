"""Matching of the entries of a history to items, and the errors about histories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.histories import History
from llamarec_cli.data.title_index import Match, TitleIndex
from llamarec_cli.errors import HistoryError, LlamaRecError, shown
from llamarec_cli.pipeline.recommend.recommendations import Ambiguity, ambiguities

Items = npt.NDArray[np.int32]

# Warnings of one kind that are printed in full.
_MAX_WARNINGS = 10


@dataclass(frozen=True)
class MatchedHistory:
    """A history, looked up in the catalogue.

    Attributes:
        matches: One for each entry, oldest first.
        items: Item ids of the known entries, oldest first; int32.
        ambiguous: Entries that match several items.
    """

    matches: list[Match]
    items: Items
    ambiguous: list[Ambiguity]


class HistoryMatcher:
    """Looks up histories in the catalogue of a data set.

    Args:
        dataset: Name of the data set, for messages.
        data: The data set.

    Attributes:
        index: Index of the catalogue's titles and raw ids.
    """

    def __init__(self, dataset: str, data: PreparedData) -> None:
        self._dataset = dataset
        self._data = data
        self.index = TitleIndex(data.titles, data.item_ids, data.popularity().tolist())

    def match(self, history: History) -> MatchedHistory:
        """Look up every entry of a history, which are titles or raw ids, oldest first."""
        matches = [self.index.find(entry) for entry in history]
        items = np.array([match.item for match in matches if match.item is not None], dtype=np.int32)
        return MatchedHistory(matches, items, ambiguities(matches, self._data.item_ids, self._data.titles))

    def known_items(self, matched: MatchedHistory) -> Items:
        """Return the known items of a history.

        Raises:
            HistoryError: There is none.
        """
        if not len(matched.items):
            raise self.none_known(matched)
        return matched.items

    def candidate_items(self, candidates: History) -> Items:
        """Return the items of candidates that a user gives.

        Args:
            candidates: Titles or raw ids.

        Raises:
            LlamaRecError: There are none, or one is unknown.
        """
        if not candidates:
            raise LlamaRecError("There are no candidates to rank.", "Give at least one title or item id.")
        matched = self.match(candidates)
        for match in matched.matches:
            if match.item is None:
                raise LlamaRecError(f"{self._dataset} does not know the candidate {shown(match.given)}.", "Omit it.")
        return matched.items

    def warn_of_entries(self, matched: MatchedHistory, warn: Callable[[str], None]) -> None:
        """Warn of entries that are unknown, with the nearest titles, and of entries that match several items."""
        unknown = [match for match in matched.matches if match.item is None]
        for match in unknown[:_MAX_WARNINGS]:
            near = () if match.by_id else self.index.nearest(match.given)
            nearest = f"; the nearest: {', '.join(near)}" if near else ""
            warn(f"{shown(match.given)} is not known and is left out{nearest}.")
        if (more := len(unknown) - _MAX_WARNINGS) > 0:
            warn(f"{more:,} more are not known and are left out.")
        for ambiguity in matched.ambiguous[:_MAX_WARNINGS]:
            warn(ambiguity.sentence())
        if (more := len(matched.ambiguous) - _MAX_WARNINGS) > 0:
            warn(f"{more:,} more entries match several items; the JSON output lists them.")

    def none_known(self, matched: MatchedHistory) -> HistoryError:
        """Return the error for a history without a known entry."""
        matches: Sequence[Match] = matched.matches
        near = self.index.nearest(matches[0].given) if matches and not matches[0].by_id else ()
        ids = ", ".join(self._data.item_ids[1:4])
        return HistoryError(
            f"{self._dataset} knows none of the {len(matches)} titles in this history.",
            f"The nearest to {shown(matches[0].given)} is {near[0]!r}."
            if near
            else f"Is it a history of another data set? Item ids of this one are such as {ids}.",
        )

    def all_known(self) -> HistoryError:
        """Return the error for a history that contains the whole catalogue."""
        return HistoryError(
            f"The history holds every item of {self._dataset}, so nothing is left to recommend.", "Shorten it."
        )
