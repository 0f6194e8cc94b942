"""The names that commands, configuration, completion and the store share. Imports nothing heavy."""

from __future__ import annotations

from enum import StrEnum


class Strategy(StrEnum):
    """Ways to read a language model."""

    VERBALIZER = "verbalizer"
    LIKELIHOOD = "likelihood"
    GENERATE_TITLES = "generate-titles"
    GENERATE_LETTERS = "generate-letters"
    POINTWISE = "pointwise"
