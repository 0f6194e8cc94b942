"""What `recommend` returns: ranked lists, and what they were made from."""

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
    """One line of the list.

    Attributes:
        item_id: Raw id of the item.
        title: Its title.
        probability: Over the K candidates; those of all K sum to 1.
    """

    item_id: str
    title: str
    probability: float


@dataclass(frozen=True)
class Ambiguity:
    """An entry of a history that several items fit.

    Attributes:
        given: The entry.
        taken: Raw id and title of the item that it was taken for.
        also: Raw ids and titles of the others.
        by_id: Whether it was taken for a raw id.
    """

    given: str
    taken: tuple[str, str]
    also: tuple[tuple[str, str], ...]
    by_id: bool

    def sentence(self) -> str:
        """Return what it was taken for, and how to say that another one is meant."""
        others = ", ".join(f"{title} (id {item_id})" for item_id, title in self.also[:3])
        more = ", ..." if len(self.also) > 3 else ""
        ways = [{"id": self.also[0][0]}, *([{"title": self.given}] if self.by_id else [])]
        return (
            f"{self.given!r} is taken as {self.taken[1]} (id {self.taken[0]}), and fits {len(self.also)} more: "
            f"{others}{more}; to mean another one, write {' or '.join(map(json.dumps, ways))}."
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON would hold it."""
        items = [{"id": item_id, "title": title} for item_id, title in (self.taken, *self.also)]
        return {"given": self.given, "taken": items[0], "also": items[1:]}


def ambiguities(matches: Iterable[Match], item_ids: Sequence[str], titles: Sequence[str]) -> list[Ambiguity]:
    """Return the entries of a history that several items fit, each once.

    Args:
        matches: What was found for each entry.
        item_ids: Raw id of each item.
        titles: Title of each item.
    """
    told = {
        match.given: Ambiguity(
            match.given,
            (item_ids[match.item], titles[match.item]),
            tuple((item_ids[item], titles[item]) for item in match.others),
            match.by_id,
        )
        for match in matches
        if match.item is not None and match.others
    }
    return list(told.values())


@dataclass(frozen=True)
class Recommendations:
    """A ranked list, and what it was made from.

    Attributes:
        dataset: Name of the data set.
        ranker: Name of the ranker's checkpoint.
        ranked_by: The signals that were weighed, or the one strategy that ranked alone.
        history: Titles that were found, oldest first.
        matches: What each entry of the history was taken for.
        items: Best first.
        history_ids: Raw ids of what was found, beside the titles.
        ambiguous: Entries that several items fit.
        titles_repeat: Whether a title of the list is another item's as well, so that only ids tell them apart.
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
        """Entries of the history that are not known."""
        return [match.given for match in self.matches if match.item is None]

    def as_json(self) -> list[dict[str, Any]]:
        """Return the ranked list as JSON would hold it."""
        return [
            {"rank": rank, "id": item.item_id, "title": item.title, "probability": item.probability}
            for rank, item in enumerate(self.items, start=1)
        ]


def ranking_sentence(ranked_by: Sequence[str], first_stage: Retriever, base: str) -> str:
    """Say in words what a list is ordered by.

    Args:
        ranked_by: Signals that are weighed, or the one strategy that ranks alone.
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
        # An ensemble's own order: of its retrievers, and of counts.
        ranked_by = [*first_stage.parts, Signal.TOGETHER, Signal.FOLLOWING]
    phrases = [words.get(signal, f"{base}, which reads history and candidates ({signal})") for signal in ranked_by]
    *others, last = phrases
    return f"Ranked by {', '.join(others)}{' and ' if others else ''}{last}."
