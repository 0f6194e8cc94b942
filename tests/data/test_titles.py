"""Cleaning and normal form of titles."""

import pytest

from llamarec_cli.data.titles import clean_movie_title, normalise_title


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Toy Story (1995)", "Toy Story (1995)"),
        ("Matrix, The (1999)", "The Matrix (1999)"),
        ("Postman, The (Postino, Il) (1994)", "The Postman (1994)"),
        ("Seven (a.k.a. Se7en) (1995)", "Seven (1995)"),
        ("Léon: The Professional (a.k.a. The Professional) (Léon) (1994)", "Léon: The Professional (1994)"),
        ("Avventura, L' (Adventure, The) (1960)", "L'Avventura (1960)"),
        ("Awfully Big Adventure, An (1995)", "An Awfully Big Adventure (1995)"),
        ("Misérables, Les (1995)", "Les Misérables (1995)"),
        ("(500) Days of Summer (2009)", "(500) Days of Summer (2009)"),
        ("Justice League: Doom (2012) ", "Justice League: Doom (2012)"),
        ("Babylon 5", "Babylon 5"),
        ("Corrina, Corrina (1994)", "Corrina, Corrina (1994)"),
        (
            "Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)",
            "The Good, the Bad and the Ugly (1966)",
        ),
    ],
)
def test_movie_titles_lose_aliases_and_keep_the_year(raw: str, clean: str) -> None:
    assert clean_movie_title(raw) == clean


def test_spellings_of_one_title_agree() -> None:
    spellings = ["The Matrix (1999)", "matrix", "Matrix, The", "THE MATRIX", "the matrix (1999)"]
    assert {normalise_title(spelling) for spelling in spellings} == {"matrix"}


def test_the_spelling_of_the_raw_file_is_the_same_title() -> None:
    for raw in ("Postman, The (Postino, Il) (1994)", "Misérables, Les (1995)", "Avventura, L' (1960)"):
        assert normalise_title(raw) == normalise_title(clean_movie_title(raw))
