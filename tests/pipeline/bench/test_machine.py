import pytest
import torch

from llamarec_cli.pipeline.bench import machine
from llamarec_cli.pipeline.bench.machine import matrix_gflops, median_ms, peak_memory, times_ms


def test_warm_up_runs_do_not_count() -> None:
    calls: list[int] = []
    assert len(times_ms(lambda: calls.append(1), 3, warm_up=2)) == 3
    assert len(calls) == 5
    assert median_ms(lambda: None, 1, warm_up=0) >= 0


@pytest.mark.parametrize(("milliseconds", "side"), [(10.0, 2048), (100.0, 256)])
def test_a_slow_data_type_is_measured_by_a_small_product(
    milliseconds: float, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "median_ms", lambda *_, **__: milliseconds)
    assert matrix_gflops(torch.float32) == round(2 * side**3 / milliseconds / 1e6, 1)


def test_peak_memory_is_unknown_where_the_system_does_not_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> int:
        raise OSError("no /proc")

    monkeypatch.setattr(machine, "_status_bytes", refuse)
    if not torch.cuda.is_available():
        assert peak_memory(lambda: None) is None
