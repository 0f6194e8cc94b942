import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import UnknownNameError, UsageError
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.bench import latency
from llamarec_cli.pipeline.bench.latency import bench_latency
from llamarec_cli.pipeline.bench.machine import Machine
from llamarec_cli.pipeline.bench.random_models import ARCHITECTURES
from llamarec_cli.store.registry import Store
from llamarec_cli.strategies.registry import STRATEGIES

MACHINE = Machine("a CPU", 1, "2.13", 100.0, 200.0)
TINY = {"vocab_size": 7, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}


@pytest.fixture
def bench_context(store_with_base: Store, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A store with a tiny base model, and a machine that is not measured."""
    monkeypatch.setattr(latency, "measure_machine", lambda: MACHINE)
    return Context(store_with_base, command="test")


def test_every_strategy_is_measured_at_every_length(bench_context: Context) -> None:
    result = bench_latency(bench_context, lengths=[1, 2], repeats=2, precision=Precision.FP32)
    assert [(point.title_length, point.strategy) for point in result.points] == [
        (length, strategy) for length in (1, 2) for strategy in STRATEGIES
    ]
    assert {point.strategy for point in result.points if point.repeats == 2} == {"verbalizer", "likelihood"}
    assert {point.repeats for point in result.points} == {1, 2}
    assert result.environment() == {
        "device": "a CPU",
        "threads": 1,
        "torch": "2.13",
        "float32_gflops": 100.0,
        "bfloat16_gflops": 200.0,
        "model": "smollm2-135m",
        "precision": "fp32",
    }


def test_an_architecture_replaces_the_base_model(bench_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "tiny", ("llama", TINY))
    result = bench_latency(bench_context, architecture="tiny", strategies=["verbalizer"], lengths=[1], repeats=1)
    assert result.model == "tiny"
    assert len(result.points) == 1


def test_wrong_arguments_are_refused(context: Context) -> None:
    with pytest.raises(UsageError, match="random weights are not quantised"):
        bench_latency(context, architecture="llama-2-7b", precision=Precision.NF4)
    with pytest.raises(UnknownNameError, match="no architecture called llama"):
        bench_latency(context, architecture="llama")
    with pytest.raises(UnknownNameError, match="no strategy called generate"):
        bench_latency(context, strategies=["generate"])
    for lengths in ([], [0]):
        with pytest.raises(UsageError, match="`lengths` must be at least 1 token") as caught:
            bench_latency(context, lengths=lengths)
        assert caught.value.hint == "llamarec bench latency --help"
