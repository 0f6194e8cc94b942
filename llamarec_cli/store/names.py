"""Names of artefacts, and what they are called on disk, where "/" is "--"."""

from __future__ import annotations

import re

from llamarec_cli.errors import UsageError

# File systems end names at 255 bytes, and ours become parts of longer ones.
_LONGEST_NAME = 120
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._]|-(?!-))*(?:/[a-z0-9](?:[a-z0-9._]|-(?!-))*)?")


def is_well_formed(name: str) -> bool:
    """Tell whether a text can be the name of an artefact."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def place_of(name: str) -> str:
    """Return what an artefact of that name is called on disk.

    Raises:
        UsageError: The name is not well formed.
    """
    if not is_well_formed(name):
        raise UsageError(
            f"{name[:_LONGEST_NAME]!r} is no name: use lower-case letters, digits, '.', '_' and single '-', as in "
            "games/lrurec.",
            "llamarec store list",
        )
    return name.replace("/", "--")


def name_of(place: str) -> str:
    """Undo `place_of`."""
    return place.replace("--", "/")
