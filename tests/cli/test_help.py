"""Every command's help ends with examples, and every example is a command that exists with options that exist."""

import pytest
from command_lines import COMMANDS, check, llamarec_calls
from typer.testing import CliRunner

from llamarec_cli.cli.app import app


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
