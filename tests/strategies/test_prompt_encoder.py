import pytest
from fakes import byte_tokenizer

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.ranking.examples import MAX_HISTORY
from llamarec_cli.strategies.prompt import render_prompt
from llamarec_cli.strategies.prompt_encoder import PromptEncoder, within_positions

TITLES = ["", *(f"Film {number}" for number in range(1, 31))]


def test_only_the_last_20_items_are_read() -> None:
    tokenizer = byte_tokenizer()
    encoder = PromptEncoder(tokenizer, TITLES)
    prompt = tokenizer.decode(encoder.encode(list(range(1, 26)), [26, 27]))
    assert prompt == render_prompt([TITLES[item] for item in range(6, 26)], ["Film 26", "Film 27"])


def test_the_shared_prefix_ends_with_the_letter_of_the_first_candidate() -> None:
    encoder = PromptEncoder(byte_tokenizer(), TITLES)
    for history in ([], [1], [1, 2, 3]):
        prompt = encoder.prompt(history, [4, 5])
        known = encoder.tokenizer.decode(prompt.ids[: prompt.shared])
        assert known.endswith("Candidate pool: (A)")
        other = encoder.prompt(history, [5, 6, 7])
        assert other.shared == prompt.shared
        assert other.ids[: prompt.shared] == prompt.ids[: prompt.shared]


def test_older_items_are_left_out_until_the_prompt_fits() -> None:
    items = list(range(30))
    assert within_positions(items, None, lambda items: (items, 10 * len(items))) == items[-MAX_HISTORY:]
    assert within_positions(items, 55, lambda items: (items, 10 * len(items))) == items[-5:]
    assert within_positions([], 10, lambda items: (items, 10)) == []
    with pytest.raises(LlamaRecError, match="A prompt of 10 tokens, the shortest here, is longer than the 9"):
        within_positions(items, 9, lambda items: (items, 10 * len(items)))
