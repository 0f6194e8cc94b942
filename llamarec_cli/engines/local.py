"""The local engine: one chunk after another, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llamarec_cli.engines.engine import Chunk, Engine, Result, Worker


class LocalEngine(Engine[Chunk, Result]):
    """Runs a worker in this process.

    Args:
        worker: The worker.
    """

    def __init__(self, worker: Worker[Chunk, Result]) -> None:
        self._worker = worker

    def map(self, chunks: Iterable[Chunk]) -> Iterator[Result]:
        """Yield the result of each chunk; a chunk is read when the result of the one before has been taken."""
        for chunk in chunks:
            yield self._worker(chunk)
