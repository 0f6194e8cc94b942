"""Engines are found by name."""

import pytest

from llamarec_cli.engines.local import LocalEngine
from llamarec_cli.engines.registry import DEFAULT_ENGINE, ENGINES, engine_row
from llamarec_cli.errors import UnknownNameError


class Spec:
    def open(self) -> None:
        pytest.fail("opened a second worker in this process")


def test_the_local_engine_uses_the_worker_that_is_open() -> None:
    engine = engine_row(DEFAULT_ENGINE).open(Spec(), str)  # type: ignore[arg-type]
    assert isinstance(engine, LocalEngine)
    assert list(engine.map([1, 2])) == ["1", "2"]


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no engine called lokal: did you mean local"):
        engine_row("lokal")
    assert list(ENGINES) == [DEFAULT_ENGINE]
