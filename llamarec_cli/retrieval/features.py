"""What a retriever that reads titles computes its item vectors from."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never


class Source(StrEnum):
    """A way to turn a title into a raw vector."""

    LANGUAGE_MODEL = "language-model"
    TFIDF = "tfidf"
    RANDOM = "random"


class Features(StrEnum):
    """The choice of sources; all but the first are controls."""

    LANGUAGE_MODEL = "language-model"
    TFIDF = "tfidf"
    BOTH = "both"
    RANDOM = "random"

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources whose features are concatenated."""
        match self:
            case Features.LANGUAGE_MODEL:
                return (Source.LANGUAGE_MODEL,)
            case Features.TFIDF:
                return (Source.TFIDF,)
            case Features.BOTH:
                return (Source.LANGUAGE_MODEL, Source.TFIDF)
            case Features.RANDOM:
                return (Source.RANDOM,)
            case _:
                assert_never(self)
