"""Description of the machine a benchmark runs on, and tools for measuring time and memory.

Times of different machines compare only relative to the rate at which each multiplies matrices.
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

# Sides of the square matrices that are multiplied.
_SIDE = 2048
_SMALL_SIDE = 256
# Time of the small product at 2 GFLOP/s. The slowest CPU with instructions for a data type is ten times as fast.
_SLOW_MS = 17.0
_REPEATS = 9
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Machine:
    """Hardware and software of a measurement.

    Attributes:
        device: Name of the CPU or GPU.
        threads: Threads that torch uses on the CPU.
        torch: Version of torch.
        float32_gflops: Measured rate of a 2048 x 2048 x 2048 matrix product, in GFLOP/s.
        bfloat16_gflops: The same in bfloat16.
    """

    device: str
    threads: int
    torch: str
    float32_gflops: float
    bfloat16_gflops: float


def measure_machine() -> Machine:
    """Describe this machine, and measure its matrix products."""
    device = best_device()
    return Machine(
        torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        torch.get_num_threads(),
        torch.__version__,
        matrix_gflops(torch.float32),
        matrix_gflops(torch.bfloat16),
    )


def matrix_gflops(dtype: torch.dtype) -> float:
    """Return the measured rate of a matrix product on the best device, in GFLOP/s."""
    device = best_device()
    small = torch.ones(_SMALL_SIDE, _SMALL_SIDE, dtype=dtype, device=device)
    milliseconds = median_ms(lambda: small @ small, 1, warm_up=1)
    if milliseconds > _SLOW_MS:
        # The CPU has no instructions for this data type: the large product would take minutes at the same rate.
        return round(2 * _SMALL_SIDE**3 / milliseconds / 1e6, 1)
    large = torch.ones(_SIDE, _SIDE, dtype=dtype, device=device)
    return round(2 * _SIDE**3 / median_ms(lambda: large @ large, _REPEATS) / 1e6, 1)


def times_ms(work: Callable[[], object], repeats: int, warm_up: int = 2) -> list[float]:
    """Return the time of each repeat of some work in milliseconds, with the device synchronised.

    Args:
        work: What to measure.
        repeats: Number of measurements.
        warm_up: Number of runs before them that do not count.
    """
    times = []
    for index in range(warm_up + repeats):
        _synchronize()
        began = time.perf_counter()
        work()
        _synchronize()
        if index >= warm_up:
            times.append(1000 * (time.perf_counter() - began))
    return times


def median_ms(work: Callable[[], object], repeats: int, warm_up: int = 2) -> float:
    """Return the median of `times_ms`."""
    return statistics.median(times_ms(work, repeats, warm_up))


def peak_memory(work: Callable[[], object]) -> int | None:
    """Return how far memory use rises above its present level during some work, in bytes.

    Device memory on a GPU, else resident memory of this process; None if the system does not report it.
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


def _synchronize() -> None:
    if best_device().type == "cuda":
        torch.cuda.synchronize()


def _status_bytes(key: str) -> int:
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return 1024 * int(value.split()[0])
    raise OSError(f"no {key} in {_STATUS}")


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
