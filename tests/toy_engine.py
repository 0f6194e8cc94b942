"""An engine that runs a worker, opened anew from the pickled spec, in a thread."""

import pickle
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from llamarec_cli.engines.engine import Engine, Worker, WorkerSpec


class Toy(Engine[Any, Any]):
    """Runs a worker, opened from the pickled spec, in a thread."""

    chunks = 0

    def __init__(self, spec: WorkerSpec) -> None:
        self._worker = pickle.loads(pickle.dumps(spec)).open()  # noqa: S301  # of this test

    def map(self, chunks: Iterable[Any]) -> Iterator[Any]:
        with ThreadPoolExecutor(max_workers=1) as pool:
            for chunk in chunks:
                type(self).chunks += 1
                yield pool.submit(self._worker, chunk).result()


def open_toy(spec: WorkerSpec, worker: Worker[Any, Any]) -> Toy:
    return Toy(spec)
