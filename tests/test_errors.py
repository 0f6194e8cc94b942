"""Messages about unknown names, and commands in hints."""

from llamarec_cli.errors import LlamaRecError, UnknownNameError, command, nearest, shown, suggestion


def test_an_unknown_name_has_a_suggestion_or_the_list_of_known_names() -> None:
    assert nearest("gmaes", ["beauty", "games", "games"]) == "did you mean games?"
    assert nearest("zzz", ["games", "beauty", "games"]) == "known: beauty, games"
    assert nearest("zzz", []) == "there is none yet"
    assert suggestion("gmaes", ["games"]) == ": did you mean games?"
    assert suggestion("zzz", ["games"]) == "."


def test_known_names_are_listed_once() -> None:
    error = UnknownNameError("zzz", "preset", ["paper", "cpu", "paper"])
    assert (error.sentence, error.hint) == ("There is no preset called zzz.", "one of paper, cpu")


def test_a_command_is_quoted_for_the_shell() -> None:
    built = command("train ranker", dataset="my shop", max_minutes=30, replace=True, name=None, auto=False)
    assert built == "llamarec train ranker --dataset 'my shop' --max-minutes 30 --replace"


def test_long_input_is_truncated() -> None:
    assert shown("a") == "'a'"
    assert len(shown("x" * 1000)) == 83


def test_sentences_and_hints_have_a_longest_length() -> None:
    error = LlamaRecError("a" * 70_000 + "b", "c" * 70_000)
    assert len(error.sentence) < 1010
    assert error.sentence.endswith("b")
    assert str(error) == error.sentence
    assert error.hint is not None
    assert len(error.hint) < 1010
