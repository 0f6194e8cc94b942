"""A recommender without models, for tests of files of users."""

import json
from pathlib import Path
from typing import Any

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import HistoryError, LlamaRecError
from llamarec_cli.pipeline.recommend.file import recommend_file
from llamarec_cli.pipeline.recommend.recommendations import Recommendation, Recommendations
from llamarec_cli.pipeline.recommend.unfinished import Summary
from llamarec_cli.pipeline.recommend.worker import RecommendWorker


class Fake:
    """Recommends the items of the history, reversed; knows nothing of `lost`. It is its own scorer and matcher."""

    unnamed = 0

    def __init__(self, dies_at: int | None = None, *, broken: bool = False, at_once: int = 1) -> None:
        self.calls = 0
        self.top: int | None = None
        self.users_at_once = at_once
        self.broken = broken
        self.dies_at = dies_at
        self.scorer = self.matcher = self

    def disable_cache(self) -> None:
        if self.broken:
            raise LlamaRecError("The base model cannot be had.", "")

    def recipe(self) -> dict[str, int | None]:
        return {"top": self.top}

    def match(self, history: list[str]) -> list[str]:
        return history

    def recommend_many(self, histories: list[list[str]]) -> list[Recommendations | HistoryError]:
        return [self._recommend(history, f"{len(histories)} together") for history in histories]

    def _recommend(self, history: list[str], company: str) -> Recommendations | HistoryError:
        self.calls += 1
        if self.calls == self.dies_at:
            raise KeyboardInterrupt
        if history == ["lost"]:
            return HistoryError("fake knows none of the 1 titles in this history.", "")
        items = [Recommendation(entry, f"{entry}, {company}", 0.5) for entry in reversed(history)]
        return Recommendations("fake", "fake/ranker", ["retriever"], history, [], items)


class FakeSpec:
    """Opens a worker with a fake recommender."""

    def __init__(self, recommender: Any, top: int | None = None) -> None:
        self.recommender = recommender
        self.recommender.top = top

    def open_with(self, context: Context) -> RecommendWorker:
        return RecommendWorker(self.recommender)


def run(
    context: Context,
    source: Path,
    output: Path,
    recommender: Any = None,
    *,
    top: int | None = None,
    **options: Any,
) -> Summary:
    """Recommend for a file of users with a fake."""
    spec: Any = FakeSpec(recommender or Fake(), top)
    return recommend_file(context, spec, source, output, **options)


def write_users(path: Path, count: int = 30) -> Path:
    """Write a file of users with two items each."""
    lines = [json.dumps({"user": f"u{user}", "history": [user, user + 1]}) for user in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def files_in(folder: Path) -> list[str]:
    """Return the files beside the home."""
    return sorted(path.name for path in folder.iterdir() if path.name != "home")
