"""The machine that a benchmark ran on: what it is, and how fast it multiplies matrices.

Times on different machines only compare beside the rate at which each multiplies matrices.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from llamarec_cli.devices import best_device

_SIDE = 2048
_SMALL_SIDE = 256
# At 2 GFLOP/s; the slowest processor with instructions for a type is ten times as fast.
_SLOW_MS = 17.0
_REPEATS = 9
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Machine:
    """Hardware and software of a measurement.

    Attributes:
        device: Name of the processor or the graphics card.
        threads: Threads that torch uses on the CPU.
        torch: Version.
        float32_gflops: Measured rate of a 2048 x 2048 x 2048 product, in 10^9 multiplications and additions a second.
        bfloat16_gflops: The same in bfloat16.
    """

    device: str
    threads: int
    torch: str
    float32_gflops: float
    bfloat16_gflops: float


def measure_machine() -> Machine:
    """Name this machine and measure its matrix products."""
    device = best_device()
    return Machine(
        torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        torch.get_num_threads(),
        torch.__version__,
        _gflops(device, torch.float32),
        _gflops(device, torch.bfloat16),
    )


def times_ms(work: Callable[[], object], repeats: int, warm_up: int = 2) -> list[float]:
    """Return the times of a piece of work in milliseconds, after some that do not count, with the device waited for."""
    times = []
    for index in range(warm_up + repeats):
        _wait()
        began = time.perf_counter()
        work()
        _wait()
        if index >= warm_up:
            times.append(1000 * (time.perf_counter() - began))
    return times


def median_ms(work: Callable[[], object], repeats: int, warm_up: int = 2) -> float:
    """Return the median of `times_ms`."""
    return statistics.median(times_ms(work, repeats, warm_up))


def peak_memory(work: Callable[[], object]) -> int | None:
    """Return how far memory rises above where it stands while a piece of work runs, in bytes.

    Device memory where there is a GPU, else resident memory of this process; None where the system does not tell.
    """
    if best_device().type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return int(torch.cuda.max_memory_allocated() - before)
    try:
        # Writing 5 resets the high-water mark of resident memory (Linux, proc(5)).
        _CLEAR_REFS.write_text("5")
        resident = _status_bytes("VmRSS")
        work()
        return _status_bytes("VmHWM") - resident
    except OSError:
        return None


def _wait() -> None:
    if best_device().type == "cuda":
        torch.cuda.synchronize()


def _gflops(device: torch.device, dtype: torch.dtype) -> float:
    small = torch.ones(_SMALL_SIDE, _SMALL_SIDE, dtype=dtype, device=device)
    milliseconds = median_ms(lambda: small @ small, 1, warm_up=1)
    if milliseconds > _SLOW_MS:
        # A type that this processor has no instructions for: larger products would take minutes and tell the same.
        return round(2 * _SMALL_SIDE**3 / milliseconds / 1e6, 1)
    left = torch.ones(_SIDE, _SIDE, dtype=dtype, device=device)
    return round(2 * _SIDE**3 / median_ms(lambda: left @ left, _REPEATS) / 1e6, 1)


def matrix_gflops(dtype: torch.dtype) -> float:
    """Return the measured rate of a matrix product on the best device, in 10^9 operations a second."""
    return _gflops(best_device(), dtype)


def _status_bytes(key: str) -> int:
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return 1024 * int(value.split()[0])
    raise OSError(f"no {key} in {_STATUS}")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
