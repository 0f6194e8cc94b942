import pytest
from fakes import byte_tokenizer

from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.strategies.prompt import MAX_TITLE_TOKENS
from llamarec_cli.strategies.titles import TruncatedTitles


def truncated(*titles: str) -> TruncatedTitles:
    return TruncatedTitles(TextTokenizer(byte_tokenizer()), titles)


def test_titles_are_truncated_at_32_tokens() -> None:
    assert truncated("x" * 40, "short").of([0, 1]) == ["x" * MAX_TITLE_TOKENS, "short"]


def test_a_character_is_never_cut_in_half() -> None:
    assert truncated("x" * 31 + "é")[0] == "x" * 31


def test_each_title_is_tokenised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    titles, cut = truncated("a", "b"), TextTokenizer.truncate
    calls: list[str] = []
    monkeypatch.setattr(
        TextTokenizer, "truncate", lambda self, title, tokens: calls.append(title) or cut(self, title, tokens)
    )
    assert titles.of([1, 0, 1]) == ["b", "a", "b"]
    assert calls == ["b", "a"]
    assert len(titles) == 2
