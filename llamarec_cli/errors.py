"""The errors a user can cause, each one sentence and one hint.

Every other exception is our bug and keeps its traceback: `cli/app.py` catches this one family and nothing else.

A sentence names an argument as Python does, in backticks: `top`. The command line alone writes it as its option. A hint
that is a command is made by `command`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from difflib import get_close_matches

# Characters of something that was given, in a sentence about it.
_MOST_SHOWN = 80


class LlamaRecError(Exception):
    """Something that could not be done, said so that the user can act on it.

    Args:
        sentence: What went wrong, naming the thing; one sentence.
        hint: What to do next, preferably the command to type.
    """

    exit_code = 1

    def __init__(self, sentence: str, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


class HistoryError(LlamaRecError):
    """One user's history cannot be used; that of the next user may."""


class UsageError(LlamaRecError):
    """The command itself was wrong: a bad value, an unknown key, two flags that exclude each other."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A value that must be one of a few names, and is none of them. Tells the nearest, and all.

    Args:
        name: What was given.
        kind: What it should be one of, such as `preset`.
        known: Every name that would have been right.
    """

    def __init__(self, name: str, kind: str, known: Iterable[str]) -> None:
        names = list(known)
        close = get_close_matches(name, names, n=1, cutoff=0.6)
        guess = f": did you mean {close[0]}?" if close else "."
        super().__init__(f"There is no {kind} called {name}{guess}", f"one of {', '.join(names)}")


class HomeError(LlamaRecError):
    """The store's home cannot be used or is full: trying another source would not help."""


def shown(given: object) -> str:
    """Return what was given as it is shown in a sentence: quoted, and cut where it is long."""
    text = repr(given)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def nearest(wrong: str, known: Iterable[str]) -> str:
    """Return a clause like `did you mean games?`, or the list of known names when nothing is near.

    Args:
        wrong: What was given.
        known: Every name that would have been right.
    """
    names = sorted(known)
    close = get_close_matches(wrong, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names)}" if names else "there is none yet"


def command(verb: str, **options: object) -> str:
    """Return the command to type next, for a hint.

    Args:
        verb: As in `train retriever`.
        options: Value of each option by its Python name; True for a switch; None and False leave the option out.
    """
    words = ["llamarec", *verb.split()]
    for name, value in options.items():
        if value is None or value is False:
            continue
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(shlex.quote(str(value)))
    return " ".join(words)
