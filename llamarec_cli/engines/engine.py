"""Interface of an engine, which maps chunks of users over a ranker.

A chunk is whatever one call of a worker takes, such as some records of a file. A worker holds loaded models. Where it
runs is up to the engine: in this process, in others, or on other machines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

# Maps one chunk to its result; deterministic, and independent of the chunks before.
Worker = Callable[[Chunk], Result]


class WorkerSpec(Protocol):
    """Recipe of a worker: a frozen, picklable object of names and options, which another process can open."""

    def open(self) -> Worker[Any, Any]:
        """Load the models, and return the worker."""


class Engine(ABC, Generic[Chunk, Result]):
    """Maps chunks over workers."""

    @abstractmethod
    def map(self, chunks: Iterable[Chunk]) -> Iterator[Result]:
        """Yield the result of each chunk, in the order of the chunks.

        Chunks are read lazily, so that memory does not grow with their number. An exception of a worker is raised here.
        """
