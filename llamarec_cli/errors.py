"""Errors that a user can cause: one sentence and one hint each.

Any other exception is a bug and keeps its traceback: `cli/app.py` catches this family and nothing else.

A sentence names an argument as Python does, in backticks: `top`. The command line writes it as an option. A hint that
is a command is built by `command`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from difflib import get_close_matches

# Longest sentence and longest hint, in characters: what was given, and what libraries say of it, may have any length.
_MOST_SAID = 1000
# Longest input, in characters, that a sentence quotes in full.
_MOST_SHOWN = 80


class LlamaRecError(Exception):
    """A failure that the user can act on.

    Args:
        sentence: What went wrong, naming the thing; one sentence.
        hint: What to do next, preferably the command to type.
    """

    exit_code = 1

    def __init__(self, sentence: str, hint: str | None = None) -> None:
        super().__init__(_shortened(sentence))
        self.sentence = _shortened(sentence)
        self.hint = None if hint is None else _shortened(hint)


def _shortened(text: str) -> str:
    """Return a text without its middle if it is too long."""
    half = _MOST_SAID // 2
    return text if len(text) <= _MOST_SAID else f"{text[:half]} ... {text[-half:]}"


class HistoryError(LlamaRecError):
    """One user's history cannot be used; other users are unaffected."""


class UsageError(LlamaRecError):
    """The command itself was wrong: a bad value, an unknown key, two flags that exclude each other."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A value is none of the names allowed; the sentence suggests the nearest, the hint lists all.

    Args:
        name: The value given.
        kind: What the value names, such as `preset`.
        known: All names allowed.
    """

    def __init__(self, name: str, kind: str, known: Iterable[str]) -> None:
        names = list(dict.fromkeys(known))
        super().__init__(f"There is no {kind} called {name}{suggestion(name, names)}", f"one of {', '.join(names)}")


class HomeError(LlamaRecError):
    """The store's home is unusable or full; retrying with another source would not help."""


def shown(given: object) -> str:
    """Return an input as a sentence shows it: quoted, and truncated if it is long."""
    text = repr(given)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: `: did you mean games?`, or `.` if no known name is similar.

    Args:
        wrong: The name given.
        known: All valid names, which the hint of the same error lists.
    """
    close = get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f": did you mean {close[0]}?" if close else "."


def nearest(wrong: str, known: Iterable[str]) -> str:
    """Return a clause such as `did you mean games?`, or the list of known names if none is similar.

    Args:
        wrong: The name given.
        known: All valid names; each is listed once.
    """
    names = sorted(set(known))
    if close := get_close_matches(wrong, names, n=1, cutoff=0.6):
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names)}" if names else "there is none yet"


def command(verb: str, **options: object) -> str:
    """Return the command to type next, for a hint.

    Args:
        verb: The verb and its arguments, such as `train retriever`.
        options: Value of each option by its Python name; True sets a switch; None and False leave the option out.
    """
    words = ["llamarec", *verb.split()]
    for name, value in options.items():
        if value is None or value is False:
            continue
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(shlex.quote(str(value)))
    return " ".join(words)
