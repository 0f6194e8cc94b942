"""Lookup of history entries by title and raw id."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from llamarec_cli.data.title_index import TitleIndex
from llamarec_cli.data.titles import clean_movie_title, normalise_title


@pytest.fixture
def index() -> TitleIndex:
    titles = ["", "The Matrix (1999)", "Sabrina (1954)", "Sabrina (1995)", "Fargo (1996)", "42", "A (7)", "7"]
    return TitleIndex(titles, ["", "m1", "m2", "m3", "m4", "m5", "7", "187"], popularity=[0, 9, 2, 5, 7, 1, 1, 1])


def test_exact_title_then_raw_id_then_loose_title(index: TitleIndex) -> None:
    assert index.find("Fargo (1996)").item == 4
    assert index.find("m2").item == 2
    assert index.find("matrix").item == 1
    assert index.find("42").item == 5


def test_of_two_items_with_one_title_the_more_popular_is_found(index: TitleIndex) -> None:
    match = index.find("sabrina")
    assert (match.item, match.others) == (3, (2,))


def test_a_typed_year_must_match(index: TitleIndex) -> None:
    assert index.find("SABRINA (1954)").item == 2
    assert index.find("SABRINA (1972)").item is None


def test_similar_titles_of_an_unknown_one(index: TitleIndex) -> None:
    assert index.find("The Matrixx").item is None
    assert index.nearest("The Matrixx") == ("The Matrix (1999)",)
    assert index.nearest("zzzzzzzzzz") == ()


def test_longer_titles_with_the_same_beginning_are_similar() -> None:
    titles = ["", "Star Wars: Episode I (1999)", "Star Wars: Episode IV (1977)", "Stir Wars (1980)"]
    near = TitleIndex(titles, ["", "1", "2", "3"], [0, 5, 9, 1]).nearest("Star Wars (1977)")
    assert near == ("Star Wars: Episode IV (1977)", "Star Wars: Episode I (1999)", "Stir Wars (1980)")


def test_a_title_of_punctuation_matches_only_itself() -> None:
    index = TitleIndex(["", "$ (1971)", "Fargo (1996)"], ["", "1", "2"], [0, 1, 1])
    assert index.find("$ (1971)").item == 1
    assert index.find("???").item is None


@pytest.mark.parametrize(
    ("entry", "item", "others"),
    [
        (7, 6, ()),  # a number is an id
        (7.0, 6, ()),
        ("7", 7, (6,)),  # text is a title first, and the other reading is told
        ({"id": "7"}, 6, ()),
        ({"id": 7}, 6, ()),
        ({"title": "7"}, 7, ()),
        ({"title": "m2"}, None, ()),
        ({"id": "Fargo (1996)"}, None, ()),
        (42, None, ()),  # no id, though a title
        ("7.0", 6, ()),  # as pandas writes ids beside missing ones
        (187, 7, ()),
    ],
)
def test_numbers_are_ids_and_objects_are_explicit(
    index: TitleIndex, entry: Any, item: int | None, others: tuple[int, ...]
) -> None:
    match = index.find(entry)
    assert (match.item, match.others) == (item, others)


def test_an_id_that_is_also_a_title_has_both_items() -> None:
    index = TitleIndex(["", "Some Film (1990)", "187 (1997)"], ["", "187", "330"], [0, 1, 1])
    match = index.find("187")
    assert (match.item, match.others, match.by_id) == (1, (2,), True)
    assert index.find({"title": "187"}).item == 2
    assert index.find("187 (1997)").others == ()


def test_equal_titles_are_all_returned_and_ids_distinguish_them() -> None:
    index = TitleIndex(["", "Twin Peaks", "Twin Peaks", "Fargo"], ["", "a", "b", "c"], [0, 1, 5, 1])
    match = index.find("Twin Peaks")
    assert (match.item, match.others) == (2, (1,))
    assert index.find({"id": "a"}).item == 1
    assert [index.is_shared(item) for item in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize("entry", ["Ame\u0301lie", "Amélie", "  Amélie ", "AMÉLIE", "ame\u0301lie", "i\u0301d"])
def test_titles_and_ids_are_compared_in_canonical_form(entry: str) -> None:
    for title, raw_id in (("Amélie", "íd"), ("Ame\u0301lie", "i\u0301d")):
        assert TitleIndex(["", title], ["", raw_id], [0, 1]).find(entry).item == 1


def steps(function: Callable[[str], object], text: str) -> int:
    """Count the steps of the interpreter."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(text)
    finally:
        sys.settrace(before)
    return count


HARD = [" ", "x ", "(a)", "x (a) ", "(", ")", "a, ", "((a) (b)) ", "(1999) ", "\n", "The ", "é"]


@pytest.mark.parametrize("piece", HARD)
@pytest.mark.parametrize("function", [clean_movie_title, normalise_title], ids=lambda function: function.__name__)
def test_time_is_linear_in_the_text(function: Callable[[str], object], piece: str) -> None:
    for begin, end in (("", ""), ("x", "y"), ("x (", ")")):
        short, long = (begin + piece * count + end for count in (500, 1000))
        assert steps(function, long) <= 2 * steps(function, short) + 100


@pytest.mark.parametrize("piece", HARD)
def test_very_long_text_does_not_hang(index: TitleIndex, piece: str) -> None:
    # Patterns take steps that the interpreter does not count; one that goes back and forth would take hours here.
    text = piece * (400_000 // len(piece))
    for entry in (f"x{text}y", f"{text})", text):
        index.find(entry)
        assert len(index.nearest(entry)) <= 3
