"""Worker that recommends for chunks of a file's records; engines run it here or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamarec_cli.artefacts.contents import wrong_contents
from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.histories import HistoryEntry, parse_history
from llamarec_cli.data.user_files import Entry
from llamarec_cli.errors import HistoryError
from llamarec_cli.pipeline.recommend.options import RecommendOptions
from llamarec_cli.pipeline.recommend.recommender import Recommender
from llamarec_cli.store.registry import Store


@dataclass(frozen=True)
class ChunkResult:
    """Result of one chunk.

    Attributes:
        records: One JSON object for each record of the chunk, in order.
        unnamed: Candidates that were missing from generated text.
    """

    records: list[dict[str, Any]]
    unnamed: int


class RecommendWorker:
    """Recommends for chunks of records.

    Args:
        recommender: Both stages.
    """

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender

    def recipe(self) -> dict[str, Any]:
        """Return all that decides about a list beside the history, as JSON."""
        return self._recommender.recipe()

    def chunk_size(self) -> int:
        """Return how many users to rank in one call; loads the language model, if lists depend on it."""
        return self._recommender.scorer.users_at_once

    def warm_up(self) -> None:
        """Load the language model, if lists depend on it, and let no list depend on those before it.

        Raises:
            LlamaRecError: It cannot be loaded.
        """
        self._recommender.scorer.disable_cache()

    def __call__(self, entries: Sequence[Entry]) -> ChunkResult:
        """Return a list for each record, or the error that stands in its place."""
        scorer, matcher = self._recommender.scorer, self._recommender.matcher
        before = scorer.unnamed
        parsed = [_parsed(entry) for entry in entries]
        matched = [matcher.match(history) for history in parsed if not isinstance(history, HistoryError)]
        found = iter(self._recommender.recommend_many(matched))
        records: list[dict[str, Any]] = []
        for entry, history in zip(entries, parsed, strict=True):
            record: dict[str, Any] = {"line": entry.line}
            if entry.user is not None:
                record["user"] = entry.user
            result = history if isinstance(history, HistoryError) else next(found)
            if isinstance(result, HistoryError):
                record["error"] = result.sentence
            else:
                record |= result.as_file_json()
            records.append(record)
        return ChunkResult(records, scorer.unnamed - before)


@dataclass(frozen=True)
class RecommendSpec:
    """Recipe of a `RecommendWorker`, which any process can open.

    Attributes:
        home: The store's folder.
        dataset: Name of the data set; None for the starter's.
        ranker: Name of the ranker; None for the data set's default.
        options: Options of the lists.
    """

    home: Path
    dataset: str | None
    ranker: str | None
    options: RecommendOptions

    def open(self) -> RecommendWorker:
        """Load both stages, without reporting, and return a worker that is ready."""
        worker = self.open_with(Context(Store(self.home, wrong_contents), command="llamarec recommend"))
        worker.warm_up()
        return worker

    def open_with(self, context: Context) -> RecommendWorker:
        """Load both stages, and return a worker; the language model is loaded at its first use.

        Args:
            context: Store and reporting callbacks.
        """
        return RecommendWorker(Recommender(context, self.dataset, self.ranker, self.options))


def _parsed(entry: Entry) -> list[HistoryEntry] | HistoryError:
    if entry.fault:
        return HistoryError(f"line {entry.line} {entry.fault}.")
    try:
        return parse_history(entry.history, f"line {entry.line}")
    except HistoryError as error:
        return error
