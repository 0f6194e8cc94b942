"""Results of `recommend`: ranked lists, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from llamarec_cli.data.title_index import Match
from llamarec_cli.ranking.signals import Signal
from llamarec_cli.retrieval.scoring import Retriever


@dataclass(frozen=True)
class Recommendation:
    """One item of a ranked list.

    Attributes:
        item_id: Raw id of the item.
        title: Its title.
        probability: Over all ranked candidates, whose probabilities sum to 1.
    """

    item_id: str
    title: str
    probability: float


@dataclass(frozen=True)
class Ambiguity:
    """An entry of a history that matches several items.

    Attributes:
        given: The entry.
        taken: Raw id and title of the item that is used.
        also: Raw ids and titles of the other items.
        by_id: Whether the entry is used as a raw id.
    """

    given: str
    taken: tuple[str, str]
    also: tuple[tuple[str, str], ...]
    by_id: bool

    def sentence(self) -> str:
        """Return which item is used, and how to select another one."""
        others = ", ".join(f"{title} (id {item_id})" for item_id, title in self.also[:3])
        more = ", ..." if len(self.also) > 3 else ""
        ways = [{"id": self.also[0][0]}, *([{"title": self.given}] if self.by_id else [])]
        return (
            f"{self.given!r} is taken as {self.taken[1]} (id {self.taken[0]}), and fits {len(self.also)} more: "
            f"{others}{more}; to mean another one, write {' or '.join(map(json.dumps, ways))}."
        )

    def as_json(self) -> dict[str, Any]:
        """Return all fields as JSON."""
        items = [{"id": item_id, "title": title} for item_id, title in (self.taken, *self.also)]
        return {"given": self.given, "taken": items[0], "also": items[1:]}


def ambiguities(matches: Iterable[Match], item_ids: Sequence[str], titles: Sequence[str]) -> list[Ambiguity]:
    """Return the entries of a history that match several items, each once.

    Args:
        matches: One for each entry.
        item_ids: Raw id of each item.
        titles: Title of each item.
    """
    found = {
        match.given: Ambiguity(
            match.given,
            (item_ids[match.item], titles[match.item]),
            tuple((item_ids[item], titles[item]) for item in match.others),
            match.by_id,
        )
        for match in matches
        if match.item is not None and match.others
    }
    return list(found.values())


@dataclass(frozen=True)
class Recommendations:
    """A ranked list for one history.

    Attributes:
        dataset: Name of the data set.
        ranker: Name of the ranker's checkpoint.
        ranked_by: Signals of the fusion, or the strategy that ranked alone.
        history: Titles of the known entries, oldest first.
        matches: One for each entry of the history.
        items: Best first.
        history_ids: Raw ids of the known entries, oldest first.
        ambiguous: Entries that match several items.
        titles_repeat: Whether an item of the list shares its title with another item of the catalogue.
    """

    dataset: str
    ranker: str
    ranked_by: list[str]
    history: list[str]
    matches: list[Match]
    items: list[Recommendation]
    history_ids: list[str] = field(default_factory=list)
    ambiguous: list[Ambiguity] = field(default_factory=list)
    titles_repeat: bool = False

    @property
    def unknown(self) -> list[str]:
        """Entries of the history that match no item."""
        return [match.given for match in self.matches if match.item is None]

    def as_json(self) -> dict[str, Any]:
        """Return the whole record as JSON."""
        return {
            "dataset": self.dataset,
            "ranker": self.ranker,
            "ranked_by": self.ranked_by,
            "items": [
                {"rank": rank, "id": item.item_id, "title": item.title, "probability": item.probability}
                for rank, item in enumerate(self.items, start=1)
            ],
            "history": self.history,
            "history_ids": self.history_ids,
            "unknown": self.unknown,
            "ambiguous": [one.as_json() for one in self.ambiguous],
        }

    def as_file_json(self) -> dict[str, Any]:
        """Return the fields of `as_json` that a file of many users repeats for each; `ambiguous` only if not empty."""
        whole = self.as_json()
        return {name: whole[name] for name in _FILE_FIELDS if name != "ambiguous" or whole[name]}


# The ranker is the same for all users, and the history is in the input.
_FILE_FIELDS = ("dataset", "items", "unknown", "ambiguous")


def ranking_sentence(ranked_by: Sequence[str], first_stage: Retriever, base: str) -> str:
    """Describe in words what a list is ordered by.

    Args:
        ranked_by: Signals of the fusion, or the strategy that ranks alone.
        first_stage: The retriever.
        base: Name of the language model.
    """
    words = {
        Signal.RETRIEVER: "the first stage's own order",
        Signal.TOGETHER: "what is chosen together",
        Signal.FOLLOWING: "what is chosen next",
        Signal.TITLES: "the words of titles",
        **{part: f"a model of sequences ({part})" for part in first_stage.parts},
        **{part: f"a model of titles as {base} read them ({part})" for part in first_stage.reading_parts},
    }
    if first_stage.parts and list(ranked_by) == [Signal.RETRIEVER]:
        # The ensemble's own order blends its retrievers and item counts.
        ranked_by = [*first_stage.parts, Signal.TOGETHER, Signal.FOLLOWING]
    phrases = [words.get(signal, f"{base}, which reads history and candidates ({signal})") for signal in ranked_by]
    *others, last = phrases
    return f"Ranked by {', '.join(others)}{' and ' if others else ''}{last}."
