"""Errors of the file system and of memory as sentences."""

import errno

import pytest
import torch

from llamarec_cli.failures import file_failure, memory_failure


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB."),
    ],
)
def test_memory_that_cannot_be_had_is_a_sentence(error: BaseException) -> None:
    failure = memory_failure(error)
    assert failure is not None
    assert failure.sentence == "There is not enough memory for this."


def test_other_errors_are_not_of_memory_or_files() -> None:
    for error in (RuntimeError("shapes do not match"), KeyError("memory"), ValueError("x")):
        assert memory_failure(error) is None
        assert file_failure(error) is None


def test_an_error_of_the_file_system_names_the_file() -> None:
    failure = file_failure(PermissionError(errno.EACCES, "Permission denied", "/data/log.csv"))
    assert failure is not None
    assert "/data/log.csv" in failure.sentence
