"""Names of artefacts, and their folder names, in which "/" is "--"."""

from __future__ import annotations

import re

from llamarec_cli.errors import UsageError

# File systems limit names to 255 bytes, and artefact names become parts of longer file names.
_LONGEST_NAME = 120
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._]|-(?!-))*(?:/[a-z0-9](?:[a-z0-9._]|-(?!-))*)?")


def is_well_formed(name: str) -> bool:
    """Return whether a text is a valid artefact name."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def place_of(name: str) -> str:
    """Return the folder name of an artefact.

    Raises:
        UsageError: The name is not well formed.
    """
    if not is_well_formed(name):
        raise UsageError(
            f"{name[:_LONGEST_NAME]!r} is not a valid name: use lower-case letters, digits, '.', '_' and single '-', "
            "such as games/lrurec.",
            "llamarec store list",
        )
    return name.replace("/", "--")


def name_of(place: str) -> str:
    """Return the artefact name of a folder name, the inverse of `place_of`."""
    return place.replace("--", "/")
