"""The local engine."""

from collections.abc import Iterator

import pytest

from llamarec_cli.engines.local import LocalEngine


def test_a_chunk_is_read_when_the_result_before_has_been_taken() -> None:
    read: list[int] = []

    def chunks() -> Iterator[int]:
        for chunk in range(3):
            read.append(chunk)
            yield chunk

    results = LocalEngine(lambda chunk: chunk * 10).map(chunks())
    assert (next(results), read) == (0, [0])
    assert (list(results), read) == ([10, 20], [0, 1, 2])


def test_an_exception_of_the_worker_is_raised() -> None:
    def fail(chunk: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(LocalEngine(fail).map([1]))
