"""Prompts: history and candidates as text (paper, section 3.2.2, with the layout of its official code).

Pure functions of titles. Whatever depends on a tokenizer, such as the truncation of titles, is done before.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase

# Index letters of the candidates, in order: the paper's A to Z, and a to z for more than 26.
LABELS: tuple[str, ...] = tuple(ascii_uppercase + ascii_lowercase)
# For tokenizers that do not encode those as single tokens, tried in this order.
OTHER_LABELS: tuple[tuple[str, ...], ...] = (
    tuple(ascii_lowercase + ascii_uppercase),
    tuple(str(number) for number in range(1, len(LABELS) + 1)),
)
# The paper truncates longer titles.
MAX_TITLE_TOKENS = 32
# Limit of the candidates in one prompt.
MAX_CANDIDATES = 50

INSTRUCTION = (
    "Given user history in chronological order, recommend an item from the candidate pool with its index letter."
)
LIST_HEADING = "Items that one user chose, in order:"
_SEPARATOR = " \n "


def render_prompt(history: Sequence[str], candidates: Sequence[str], labels: Sequence[str] = LABELS) -> str:
    r"""Return the prompt, to which the answer is one index letter.

    Args:
        history: Titles the user interacted with, oldest first; all are used.
        candidates: Titles to choose from, at most as many as there are labels.
        labels: Index letters.

    Returns:
        The Alpaca-style prompt; byte for byte that of the official code:

            ### Instruction:
            Given user history in chronological order, recommend ...

            ### Input:
            User history: (1) TITLE \n (2) TITLE; \n Candidate pool: (A) TITLE \n (B) TITLE

            ### Response:

        followed by a newline, where each ` \n ` is space, newline, space.

    Raises:
        ValueError: There are more candidates than labels.
    """
    return "".join(prompt_pieces(history, candidates, labels))


def prompt_pieces(history: Sequence[str], candidates: Sequence[str], labels: Sequence[str] = LABELS) -> list[str]:
    """Return the prompt in pieces whose tokens, with most tokenizers, do not depend on the neighbouring pieces.

    A piece is either text that does not depend on any title, or one title with the space before it. The last title of a
    list includes the text after it, since punctuation at its end may share a token with that text.

    Args:
        history: Titles the user interacted with, oldest first; all are used.
        candidates: Titles to choose from, at most as many as there are labels.
        labels: Index letters.

    Raises:
        ValueError: There are more candidates than labels.
    """
    if len(candidates) > len(labels):
        raise ValueError(f"{len(candidates)} candidates, but only {len(labels)} index letters")
    opening = f"### Instruction:\n{INSTRUCTION}\n\n### Input:\nUser history: "
    numbers = [f"{_SEPARATOR}({number})" for number in range(1, len(history) + 1)]
    letters = [f"{_SEPARATOR}({label})" for label, _ in zip(labels, candidates, strict=False)]
    return _listed(opening, numbers, history, ";") + _listed(
        f"{_SEPARATOR}Candidate pool: ", letters, candidates, "\n\n### Response:\n"
    )


def _listed(opening: str, marks: Sequence[str], titles: Sequence[str], closing: str) -> list[str]:
    """Return the pieces of one list; the first mark has no separator before it."""
    if not titles:
        return [opening + closing]
    pieces = [piece for mark, title in zip(marks, titles, strict=True) for piece in (mark, f" {title}")]
    pieces[0] = opening + pieces[0].removeprefix(_SEPARATOR)
    pieces[-1] += closing
    return pieces


def render_list(history: Sequence[str]) -> tuple[str, str]:
    """Return a numbered list of titles to which the next title can be appended, for `likelihood`.

    Args:
        history: Titles, oldest first.

    Returns:
        The text up to the number of the next entry, and the text between that number and its title.
    """
    lines = "".join(f"{number}. {title}\n" for number, title in enumerate(history, start=1))
    return f"{LIST_HEADING}\n{lines}{len(history) + 1}.", " "


def render_generation_prompt(history: Sequence[str], candidates: Sequence[str], *, letters: bool) -> str:
    """Return a prompt to which the answer is the whole ranked list, as letters or as titles.

    Args:
        history: Titles, oldest first.
        candidates: Titles to choose from.
        letters: Whether to ask for index letters instead of titles.
    """
    wanted = "the index letters, separated by commas" if letters else "one title a line"
    body = render_prompt(history, candidates).partition("### Input:\n")[2]
    return (
        "### Instruction:\n"
        "Given user history in chronological order, rank all items of the candidate pool, the best recommendation "
        f"first: {wanted}.\n\n### Input:\n{body}"
    )


def render_pointwise_prompt(history: Sequence[str], candidate: str) -> str:
    """Return a prompt to which the answer is Yes or No, for `pointwise`.

    Args:
        history: Titles, oldest first.
        candidate: Title of the candidate.
    """
    numbered = _SEPARATOR.join(f"({number}) {title}" for number, title in enumerate(history, start=1))
    return (
        "### Instruction:\nGiven user history in chronological order, tell whether the user will like the item, "
        f"Yes or No.\n\n### Input:\nUser history: {numbered};{_SEPARATOR}Item: {candidate}\n\n### Response:\n"
    )
