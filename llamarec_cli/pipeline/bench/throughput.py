"""`bench throughput`: users per second of the verbalizer, relative to the machine and to the official implementation.

Histories of 20 items and titles come from a data set. Candidates are random, which does not affect the time. All
methods and the machine's matrix products are measured in turns, so that other load affects them alike, and medians over
rounds are reported.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llamarec_cli.artefacts.base_model import need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.devices import best_device
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.base_models import load_base_model, load_tokenizer
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.language_model.forward import transformer_of
from llamarec_cli.language_model.inference import load_for_ranking
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.bench.machine import Machine, measure_machine, peak_memory, times_ms
from llamarec_cli.pipeline.prepare import need_dataset
from llamarec_cli.progress import Progress
from llamarec_cli.ranking.examples import MAX_HISTORY, RankingExample, recent
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

_CANDIDATES = 20
# Batch size of the official evaluation.
_OFFICIAL_BATCH = 16
# Capacity of a prefix cache that holds the histories of all users.
_UNLIMITED_BYTES = 2**40


@dataclass(frozen=True)
class ThroughputBench:
    """Result of the benchmark; times are medians over rounds, in milliseconds per user.

    Attributes:
        machine: Hardware and versions.
        model: Base model.
        precision: Data type of the engine.
        users: Users per round.
        rounds: Measurements of each method.
        prompt_tokens: Mean length of a prompt.
        engine_ms: The engine as it ranks a file, without a prefix cache.
        again_ms: The engine with the same users' histories cached and other candidates.
        official_ms: The official implementation: float32, padded batches of 16, logits of the whole vocabulary at all
            positions. None if it was not measured.
        gflops: Rate of the engine, in GFLOP/s.
        machine_gflops: Rate of matrix products in float32 if the engine computes in it, else in bfloat16.
        peak_bytes: Memory above the loaded model; None if the system does not report it.
    """

    machine: Machine
    model: str
    precision: str
    users: int
    rounds: int
    prompt_tokens: float
    engine_ms: float
    again_ms: float
    official_ms: float | None
    gflops: float
    machine_gflops: float
    peak_bytes: int | None

    @property
    def users_per_second(self) -> float:
        """Users that the engine ranks per second."""
        return 1000 / self.engine_ms

    @property
    def tokens_per_second(self) -> float:
        """Prompt tokens that the engine computes per second."""
        return self.prompt_tokens * self.users_per_second


def bench_throughput(
    context: Context,
    dataset: str,
    *,
    base: str = DEFAULT_BASE,
    precision: Precision | None = None,
    users: int = 16,
    rounds: int = 3,
    official: bool = True,
) -> ThroughputBench:
    """Measure the verbalizer on the prompts of a data set's users.

    Args:
        context: Store and reporting callbacks.
        dataset: Name of the data set.
        base: Base model.
        precision: Data type of the engine; by default the best that the device supports.
        users: Users per round.
        rounds: Measurements of each method.
        official: Whether to measure the official implementation, which takes most of the time.

    Raises:
        LlamaRecError: The data set has fewer users with 20 items of history.
    """
    data, _ = need_dataset(context, dataset)
    generator = np.random.default_rng(0)
    histories = _sample_histories(data, dataset, users, generator)
    first, second = (_with_random_candidates(histories, data.item_count, generator) for _ in range(2))
    path, device = need_base_model(context, base).path, best_device()
    context.report(Progress("load the base model"))
    tokenizer = load_tokenizer(path)
    model = load_for_ranking(path, device, precision)
    encoder = PromptEncoder(tokenizer, data.titles)
    prompts = [encoder.encode(one.history.tolist(), one.candidates.tolist()) for one in first]
    methods = _engine_methods(model, encoder, first, second)
    if official:
        plain = load_base_model(path, device, dtype=torch.float32)
        plain.set_attn_implementation("sdpa")
        methods["official"] = partial(
            official_log_probabilities, plain, prompts, encoder.label_ids, tokenizer.eos_token_id
        )
    peak = peak_memory(methods["engine"])
    medians, machine = _measure_in_turns(context, methods, rounds)
    operations = float(np.mean([flops(model, len(prompt)) for prompt in prompts]))
    in_float32 = precision is not Precision.NF4 and model.dtype == torch.float32
    engine_ms = medians["engine"] / users
    return ThroughputBench(
        machine=machine,
        model=base,
        precision=str(precision or model.dtype).removeprefix("torch."),
        users=users,
        rounds=rounds,
        prompt_tokens=float(np.mean([len(prompt) for prompt in prompts])),
        engine_ms=engine_ms,
        again_ms=medians["again"] / users,
        official_ms=medians["official"] / users if official else None,
        gflops=operations / engine_ms / 1e6,
        machine_gflops=machine.float32_gflops if in_float32 else machine.bfloat16_gflops,
        peak_bytes=peak,
    )


def _sample_histories(
    data: PreparedData, dataset: str, users: int, generator: np.random.Generator
) -> list[npt.NDArray[np.int32]]:
    """Return the last 20 items of random users who have as many."""
    histories = held_out(data, Split.TEST).histories
    long = [recent(histories[user]) for user in range(len(histories)) if len(histories[user]) >= MAX_HISTORY]
    if len(long) < users:
        raise LlamaRecError(
            f"{dataset} has only {len(long)} users with {MAX_HISTORY} items of history; `users` is {users}.",
            "Lower `users`, or choose another `dataset`.",
        )
    return [long[user] for user in generator.permutation(len(long))[:users]]


def _with_random_candidates(
    histories: Sequence[npt.NDArray[np.int32]], item_count: int, generator: np.random.Generator
) -> list[RankingExample]:
    pools = [generator.choice(item_count, size=_CANDIDATES, replace=False) + 1 for _ in histories]
    return [RankingExample(one, pool.astype(np.int32), 0) for one, pool in zip(histories, pools, strict=True)]


def _engine_methods(
    model: Any, encoder: PromptEncoder, first: Sequence[RankingExample], second: Sequence[RankingExample]
) -> dict[str, Callable[[], object]]:
    """Return the two measurements of the engine.

    Args:
        model: A causal language model loaded for ranking.
        encoder: Turns item ids into prompts.
        first: One example per user.
        second: The same users with other candidates.
    """
    # A file has each user once, so no prefix is cached.
    uncached = RankingEngine(model, encoder, prefix_bytes=0)
    cached = RankingEngine(model, encoder, prefix_bytes=_UNLIMITED_BYTES)
    _rank_one_by_one(cached, first)
    return {"engine": partial(_rank_file, uncached, first), "again": partial(_rank_one_by_one, cached, second)}


def _rank_file(engine: RankingEngine, examples: Sequence[RankingExample]) -> None:
    for _ in engine.rank_many(examples):
        pass


def _rank_one_by_one(engine: RankingEngine, examples: Sequence[RankingExample]) -> None:
    """Rank users separately, as when they return, also on a GPU that would rank a batch."""
    for one in examples:
        engine.rank(one.history.tolist(), one.candidates.tolist())


def _measure_in_turns(
    context: Context, methods: Mapping[str, Callable[[], object]], rounds: int
) -> tuple[dict[str, float], Machine]:
    """Return the median milliseconds of each method, and the machine with medians of its rates."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    machines: list[Machine] = []
    for index in range(rounds + 1):
        for name, work in methods.items():
            milliseconds = times_ms(work, 1, warm_up=0)[0]
            if index:  # the first round is a warm-up
                times[name].append(milliseconds)
            context.report(Progress(f"measure, {name}", index, rounds))
        machines.append(measure_machine())
    machine = replace(
        machines[0],
        float32_gflops=statistics.median(one.float32_gflops for one in machines),
        bfloat16_gflops=statistics.median(one.bfloat16_gflops for one in machines),
    )
    return {name: statistics.median(of_method) for name, of_method in times.items()}, machine


@torch.inference_mode()
def official_log_probabilities(
    model: Any, prompts: Sequence[Sequence[int]], labels: Sequence[int], padding: int
) -> Tensor:
    """Return the log-probabilities of the labels for each prompt, computed as the official code does.

    That is in batches padded at the left, with the logits of the whole vocabulary at every position.

    Args:
        model: A transformers causal language model.
        prompts: Token ids of each prompt.
        labels: Token ids of the index letters.
        padding: Token id of padding.
    """
    results: list[Tensor] = []
    for begin in range(0, len(prompts), _OFFICIAL_BATCH):
        batch = prompts[begin : begin + _OFFICIAL_BATCH]
        longest = max(map(len, batch))
        fill = [longest - len(prompt) for prompt in batch]
        ids_BL = torch.tensor([[padding] * n + list(p) for n, p in zip(fill, batch, strict=True)], device=model.device)
        mask_BL = torch.tensor([[0] * n + [1] * (longest - n) for n in fill], device=model.device)
        logits_BLV = model(input_ids=ids_BL, attention_mask=mask_BL, use_cache=False).logits
        results.append(torch.log_softmax(logits_BLV[:, -1, list(labels)].float(), dim=-1).cpu())
    return torch.cat(results)


def flops(model: Any, tokens: int) -> float:
    """Return the floating-point operations of one prompt: linear layers, and attention below its diagonal."""
    # Packed and quantised layers keep these attributes, while their weights have other shapes.
    linears = [module for module in transformer_of(model).modules() if hasattr(module, "in_features")]
    weights: int = sum(module.in_features * module.out_features for module in linears)
    layers: int = model.config.num_hidden_layers
    width: int = model.config.hidden_size
    return 2.0 * tokens * (weights + tokens * layers * width)
