import pytest

from llamarec_cli.strategies.prompt import LABELS, render_prompt


def test_the_prompt_is_byte_for_byte_that_of_the_official_code() -> None:
    expected = (
        b"### Instruction:\n"
        b"Given user history in chronological order, recommend an item from the candidate pool with its index "
        b"letter.\n"
        b"\n"
        b"### Input:\n"
        b"User history: (1) Alien (1979) \n (2) Brazil (1985); \n Candidate pool: (A) Heat (1995) \n (B) Big (1988)\n"
        b"\n"
        b"### Response:\n"
    )
    prompt = render_prompt(["Alien (1979)", "Brazil (1985)"], ["Heat (1995)", "Big (1988)"])
    assert prompt.encode() == expected


def test_twenty_candidates_run_from_a_to_t() -> None:
    prompt = render_prompt(["x"], [f"film {number}" for number in range(20)])
    assert "(A) film 0 \n (B) film 1" in prompt
    assert prompt.endswith("(T) film 19\n\n### Response:\n")


def test_more_candidates_than_letters_are_refused() -> None:
    with pytest.raises(ValueError, match="53 candidates"):
        render_prompt(["x"], ["y"] * (len(LABELS) + 1))
