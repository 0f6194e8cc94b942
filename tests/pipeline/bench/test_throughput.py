from pathlib import Path

import numpy as np
import pytest
from fakes import byte_tokenizer, ranking_examples, tiny_llama, write_ring

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.bench import throughput
from llamarec_cli.pipeline.bench.machine import Machine
from llamarec_cli.pipeline.bench.throughput import bench_throughput, flops, official_log_probabilities
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.store.registry import Store
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

TITLES = ["", *(f"Film {number}" for number in range(1, 31))]


def test_operations_of_a_prompt_are_those_of_its_layers() -> None:
    # A layer: queries and outputs 64 x 64, keys and values 64 x 32, three maps of 64 x 128. Attention: 10 x 64.
    weights = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128
    assert flops(tiny_llama(), 10) == 2 * 10 * 2 * (weights + 10 * 64)


def test_the_official_implementation_ranks_as_the_engine_does() -> None:
    model, encoder = tiny_llama(), PromptEncoder(byte_tokenizer(), TITLES)
    # Of different lengths, and more than one batch.
    examples = ranking_examples(*((1 + index % 5, 4) for index in range(18)))
    prompts = [encoder.encode(one.history.tolist(), one.candidates.tolist()) for one in examples]
    found = official_log_probabilities(model, prompts, encoder.label_ids[:4], 256)
    engine = RankingEngine(model, encoder)
    for row, one in zip(found, examples, strict=True):
        assert np.allclose(row, engine.rank(one.history.tolist(), one.candidates.tolist()), atol=1e-4)


def test_times_are_per_user_and_the_official_one_is_optional(
    tmp_path: Path, store_with_base: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = iter([Machine("a CPU", 1, "2.13", rate, 2 * rate) for rate in (900.0, 100.0, 300.0, 200.0)])
    monkeypatch.setattr(throughput, "measure_machine", lambda: next(machines))
    monkeypatch.setattr(throughput, "times_ms", lambda *_, **__: [30.0])
    monkeypatch.setattr(throughput, "peak_memory", lambda _: None)
    context = Context(store_with_base, command="test")
    prepare_dataset(context, "ml-100k", source=write_ring(tmp_path / "long", items=70, users=10, length=30))
    result = bench_throughput(context, "ml-100k", users=3, rounds=3, official=False)
    assert (result.engine_ms, result.again_ms, result.official_ms) == (10.0, 10.0, None)
    assert result.users_per_second == 100
    assert (result.machine.float32_gflops, result.machine.bfloat16_gflops) == (250.0, 500.0)
    with pytest.raises(LlamaRecError, match=r"has only \d users with 20 items of history; `users` is 11"):
        bench_throughput(context, "ml-100k", users=11)
