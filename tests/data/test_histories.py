"""Histories as JSON."""

import pytest

from llamarec_cli.data.histories import parse_history
from llamarec_cli.errors import LlamaRecError


@pytest.mark.parametrize("text", ['["Alien", 12]', '{"history": ["Alien", 12]}'])
def test_a_list_or_an_object_with_history(text: str) -> None:
    assert parse_history(text, "h.json") == ["Alien", 12]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1, 2", "h.json is not JSON"),
        ("", "h.json is not JSON"),
        ("{}", 'without "history"'),
        ('"Alien"', "is not a list"),
        ("[]", "is empty"),
        ("[null]", "Entry 1"),
        ("[true]", "Entry 1"),
        ('["Alien", {"name": 3}]', "Entry 2"),
        ('["Alien", {"id": 3, "title": "x"}]', "Entry 2"),
        ('[{"id": null}]', "Entry 1"),
        ('[{"id": {"id": 3}}]', "Entry 1"),
        ("[1.5]", "Entry 1"),
        ("[NaN]", "is not a history"),
        ('{"user": NaN, "history": [1]}', "is not a history"),
        ('["' + "x" * 10_001 + '"]', "Entry 1 of h.json is longer than 10,000 characters"),
        ('["' + "x" * 2_000_000 + '"]', "h.json is longer than 2,000,000 characters"),
        ('["\udce9"]', "is not text in UTF-8"),
        ('[["Alien"]]', "Entry 1"),
        ("[" * 100_000, "is not a history"),
        ("[" + "1" * 5_000 + "]", "is not a history"),
    ],
)
def test_an_invalid_history_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(LlamaRecError, match=sentence):
        parse_history(text, "h.json")


def test_explicit_entries_and_whole_floats() -> None:
    assert parse_history('[{"id": "7"}, {"title": "7"}, 7.0, {"id": 7.0}]', "h") == [
        {"id": "7"},
        {"title": "7"},
        7,
        {"id": 7},
    ]


def test_long_input_is_truncated_in_messages() -> None:
    with pytest.raises(LlamaRecError) as caught:
        parse_history('[{"name": "' + "x" * 5_000 + '"}]', "h.json")
    assert len(caught.value.sentence) < 200
