from pathlib import Path

import pytest

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.evaluation import latency
from llamarec_cli.evaluation.latency import LatencyPoint, check_plotting, describe_latency, plot_latency


def points(**seconds: list[float]) -> list[LatencyPoint]:
    return [
        LatencyPoint(length, strategy.replace("_", "-"), median, 0.0, 1)
        for strategy, medians in seconds.items()
        for length, median in zip((10, 20, 40), medians, strict=False)
    ]


def test_generation_is_compared_with_the_verbalizer_by_ratio_and_growth() -> None:
    ratio, growth = describe_latency(points(verbalizer=[0.5, 1.0, 1.5], generate_titles=[10.0, 25.0, 61.0]))
    assert "25.0 times" in ratio
    assert "56.16 s against under 1 s" in ratio
    assert growth == (
        "From 10 to 40 tokens a title, the verbalizer's time grows by 1.00 s, that of generating the titles by 51.00 s."
    )


def test_strategies_and_lengths_that_were_not_measured_are_not_described() -> None:
    assert describe_latency(points(verbalizer=[0.5, 1.0])) == []
    assert describe_latency(points(verbalizer=[0.5], generate_titles=[10.0])) == []


def test_a_plot_names_every_strategy(tmp_path: Path) -> None:
    plot_latency(points(verbalizer=[0.5, 1.0], pointwise=[2.0, 3.0]), "a CPU", tmp_path / "figure.svg", "svg")
    assert "<svg" in (tmp_path / "figure.svg").read_text()


def test_without_matplotlib_the_remedy_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "find_spec", lambda _: None)
    with pytest.raises(LlamaRecError, match="`plot` needs matplotlib") as caught:
        check_plotting()
    assert caught.value.hint == "python -m pip install matplotlib"
