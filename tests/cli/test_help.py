"""Help of every command: examples that the command line accepts, short summaries, choices filled in."""

import pytest
from command_lines import COMMANDS, check, llamarec_calls, run
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.cli.choices import CHOICES


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_ends_with_two_examples_at_least(path: tuple[str, ...]) -> None:
    examples = COMMANDS[path].epilog
    assert "Examples:" in CliRunner().invoke(app, [*path, "--help"]).stdout
    # The help wraps lines beyond that, and what is copied from it would break.
    assert max(map(len, examples.splitlines())) <= 78
    calls = llamarec_calls(examples)
    assert len(calls) >= 2
    assert all(call[: len(path)] == list(path) for call in calls)
    for call in calls:
        check(call)


def test_a_wrong_example_would_be_noticed() -> None:
    with pytest.raises(Exception, match="--nonsense"):
        check(["evaluate", "--dataset", "games", "--nonsense"])
    with pytest.raises(AssertionError, match="no command evalute"):
        check(["evalute"])


@pytest.mark.parametrize("path", sorted({path[:-1] for path in COMMANDS}), ids=" ".join)
def test_no_summary_in_a_list_of_commands_is_truncated(path: tuple[str, ...]) -> None:
    _, _, listed = run(*path, "--help").stdout.partition("Commands:\n")
    assert [line for line in listed.splitlines() if line.endswith("...")] == []


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_lists_of_choices_are_filled_in(path: tuple[str, ...]) -> None:
    texts = [getattr(parameter, "help", None) or "" for parameter in COMMANDS[path].params]
    assert [text for text in texts for name in CHOICES if f"{{{name}}}" in text] == []
