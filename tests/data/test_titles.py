import pytest

from llamarec_cli.data.titles import TitleIndex, clean_movie_title, normalise_title


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


def test_a_title_of_punctuation_matches_no_other() -> None:
    index = TitleIndex(["", "$ (1971)", "Fargo (1996)"], ["", "1", "2"], [0, 1, 1])
    assert index.find("$ (1971)").item == 1
    assert index.find("???").item is None


@pytest.fixture
def index() -> TitleIndex:
    titles = ["", "The Matrix (1999)", "Sabrina (1954)", "Sabrina (1995)", "Fargo (1996)", "42"]
    return TitleIndex(titles, ["", "m1", "m2", "m3", "m4", "m5"], popularity=[0, 9, 2, 5, 7, 1])


def test_exact_title_then_raw_id_then_loose_title(index: TitleIndex) -> None:
    assert index.find("Fargo (1996)").item == 4
    assert index.find("m2").item == 2
    assert index.find("matrix").item == 1
    assert index.find("42").item == 5


def test_a_title_shared_by_two_films_is_the_more_popular_one(index: TitleIndex) -> None:
    match = index.find("sabrina")
    assert match.item == 3
    assert match.alternatives == ("Sabrina (1954)",)


def test_a_year_that_was_typed_must_fit(index: TitleIndex) -> None:
    assert index.find("SABRINA (1954)").item == 2
    assert index.find("SABRINA (1972)").item is None


def test_an_unknown_title_names_the_nearest(index: TitleIndex) -> None:
    match = index.find("The Matrixx")
    assert match.item is None
    assert match.alternatives == ("The Matrix (1999)",)
    assert index.find("zzzzzzzzzz").alternatives == ()


def test_a_longer_title_that_begins_alike_is_near_the_most_popular_first() -> None:
    titles = ["", "Star Wars: Episode I (1999)", "Star Wars: Episode IV (1977)", "Stir Wars (1980)"]
    match = TitleIndex(titles, ["", "1", "2", "3"], [0, 5, 9, 1]).find("Star Wars (1977)")
    assert match.alternatives == ("Star Wars: Episode IV (1977)", "Star Wars: Episode I (1999)", "Stir Wars (1980)")
