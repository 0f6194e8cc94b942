"""Worker for chunks of records."""

import pickle
from pathlib import Path
from typing import Any

from fake_recommender import Fake

from llamarec_cli.data.user_files import Entry
from llamarec_cli.pipeline.recommend.options import RecommendOptions
from llamarec_cli.pipeline.recommend.worker import RecommendSpec, RecommendWorker


class Generating(Fake):
    """Misses one candidate of every user."""

    def recommend_many(self, histories: list[list[str]]) -> Any:
        self.unnamed += len(histories)
        return super().recommend_many(histories)


def test_records_of_a_chunk_are_ranked_together_and_errors_stand_in_their_place() -> None:
    recommender: Any = Generating()
    worker = RecommendWorker(recommender)
    chunk = [
        Entry(1, None, '["a"]'),
        Entry(2, "u", "", "is not text in UTF-8"),
        Entry(3, 7, '["lost"]'),
        Entry(5, None, "{broken"),
    ]
    result = worker(chunk)
    assert [record["line"] for record in result.records] == [1, 2, 3, 5]
    assert result.records[0]["items"][0]["title"] == "a, 2 together"
    assert result.records[1] == {"line": 2, "user": "u", "error": "line 2 is not text in UTF-8."}
    assert result.records[2]["error"].startswith("fake knows none")
    assert "line 5 is not JSON" in result.records[3]["error"]
    assert result.unnamed == 2
    assert worker(chunk[:1]).unnamed == 1


def test_a_spec_can_be_sent_to_another_process(tmp_path: Path) -> None:
    spec = RecommendSpec(tmp_path, "games", None, RecommendOptions(top=3, precision="fp32"))
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301  # of this test
