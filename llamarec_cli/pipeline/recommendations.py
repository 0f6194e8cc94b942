"""What `recommend` returns: ranked lists, and what they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llamarec_cli.data.titles import Match
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
class Recommendations:
    """A ranked list, and what it was made from.

    Attributes:
        dataset: Name of the data set.
        ranker: Name of the ranker's checkpoint.
        ranked_by: The signals that were weighed, or the one strategy that ranked alone.
        history: Titles that were found, oldest first.
        matches: What each entry of the history was taken for.
        items: Best first.
    """

    dataset: str
    ranker: str
    ranked_by: list[str]
    history: list[str]
    matches: list[Match]
    items: list[Recommendation]

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
    phrases = [words.get(signal, f"{base}, which reads history and candidates ({signal})") for signal in ranked_by]
    *others, last = phrases
    return f"Ranked by {', '.join(others)}{' and ' if others else ''}{last}."
