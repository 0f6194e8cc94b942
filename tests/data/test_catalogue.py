"""The catalogue of known data sets."""

import pytest

from llamarec_cli.data.catalogue import CATALOGUE, catalogue_row, difference_from_reference
from llamarec_cli.errors import UsageError


def test_the_paper_counts_are_those_of_table_2() -> None:
    assert (CATALOGUE["beauty"].counts.users, CATALOGUE["beauty"].counts.items) == (22_332, 12_086)
    assert (CATALOGUE["games"].counts.users, CATALOGUE["games"].counts.items) == (15_264, 7_676)
    assert (CATALOGUE["ml-100k"].counts.users, CATALOGUE["ml-100k"].counts.items) == (610, 3_650)


def test_a_difference_from_the_published_counts_is_reported() -> None:
    assert difference_from_reference("games", 15_264, 7_676) is None
    assert difference_from_reference("myshop", 1, 1) is None
    assert "(1 user, 7,676 items) differs from that of LlamaRec, Table 2" in str(
        difference_from_reference("games", 1, 7_676)
    )


def test_an_unknown_name_is_refused_and_each_known_one_listed_once() -> None:
    with pytest.raises(UsageError, match="did you mean games"):
        catalogue_row("gmaes")
    with pytest.raises(UsageError) as raised:
        catalogue_row("zzzzzz", own=["games", "myshop"])
    assert raised.value.sentence.endswith("known: beauty, games, ml-100k, ml-100k-1998, myshop")
