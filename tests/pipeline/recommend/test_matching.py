"""Matching of histories: known items, warnings and refusals."""

import pytest

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.errors import HistoryError, LlamaRecError
from llamarec_cli.pipeline.recommend.matching import HistoryMatcher


def item_ids(data: PreparedData, raw: list[str]) -> list[int]:
    return [data.item_ids.index(one) for one in raw]


def test_known_entries_become_items_in_order(ring: PreparedData) -> None:
    matched = HistoryMatcher("ring", ring).match(["7", "zzz", "film 05", 7])
    assert matched.items.tolist() == item_ids(ring, ["7", "5", "7"])
    assert [match.given for match in matched.matches] == ["7", "zzz", "film 05", "7"]


def test_unknown_entries_are_warned_of_and_only_ten_of_them_in_full(ring: PreparedData) -> None:
    said: list[str] = []
    matcher = HistoryMatcher("ring", ring)
    matcher.warn_of_entries(matcher.match(["Film 41, The", *(f"zzz {one}" for one in range(20))]), said.append)
    assert len(said) == 11
    assert said[0].startswith("'Film 41, The' is not known and is left out; the nearest: The Film")
    assert said[-1] == "11 more are not known and are left out."


def test_a_history_without_a_known_entry_is_refused(ring: PreparedData) -> None:
    matcher = HistoryMatcher("ring", ring)
    with pytest.raises(HistoryError, match="ring knows none of the 2 titles"):
        matcher.known_items(matcher.match(["zzz", "yyy"]))
    assert matcher.known_items(matcher.match(["zzz", "7"])).tolist() == item_ids(ring, ["7"])


def test_all_candidates_must_be_known(ring: PreparedData) -> None:
    matcher = HistoryMatcher("ring", ring)
    assert matcher.candidate_items(["8", "6"]).tolist() == item_ids(ring, ["8", "6"])
    with pytest.raises(LlamaRecError, match="does not know the candidate 'zzz'"):
        matcher.candidate_items(["8", "zzz"])
    with pytest.raises(LlamaRecError, match="no candidates"):
        matcher.candidate_items([])
