"""Engines by name.

To add one, write a file with a subclass of `Engine` and add a row here. Nothing heavy is imported before a row is
opened, since help and completion read the names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llamarec_cli.engines.engine import Engine, Worker, WorkerSpec
from llamarec_cli.errors import UnknownNameError

DEFAULT_ENGINE = "local"


@dataclass(frozen=True)
class EngineRow:
    """An engine.

    Attributes:
        name: Name on the command line.
        open: Opens the engine. Takes a spec, which opens workers in other processes, and a worker that is open in this
            process already.
    """

    name: str
    open: Callable[[WorkerSpec, Worker[Any, Any]], Engine[Any, Any]]


def _local(spec: WorkerSpec, worker: Worker[Any, Any]) -> Engine[Any, Any]:
    from llamarec_cli.engines.local import LocalEngine

    return LocalEngine(worker)


ENGINES: dict[str, EngineRow] = {row.name: row for row in (EngineRow(DEFAULT_ENGINE, _local),)}


def engine_row(name: str) -> EngineRow:
    """Look an engine up by name.

    Raises:
        UnknownNameError: There is no such engine.
    """
    if name not in ENGINES:
        raise UnknownNameError(name, "engine", ENGINES)
    return ENGINES[name]
