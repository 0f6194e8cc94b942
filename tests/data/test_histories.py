import pytest

from llamarec_cli.data.histories import parse_history
from llamarec_cli.errors import LlamaRecError


@pytest.mark.parametrize("text", ['["Alien", 12]', '{"history": ["Alien", 12]}'])
def test_a_list_or_an_object_with_history(text: str) -> None:
    assert parse_history(text, "h.json") == ["Alien", "12"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1, 2", "h.json is not JSON"),
        ("", "h.json is not JSON"),
        ("{}", 'without "history"'),
        ('"Alien"', "holds no list"),
        ("[]", "is empty"),
        ("[null]", "Entry 1"),
        ("[true]", "Entry 1"),
        ('["Alien", {"title": 3}]', "Entry 2"),
        ("[" * 100_000, "is no history"),
        ("[" + "1" * 5_000 + "]", "is no history"),
    ],
)
def test_what_is_wrong_is_named(text: str, sentence: str) -> None:
    with pytest.raises(LlamaRecError, match=sentence):
        parse_history(text, "h.json")
