"""`bench throughput`: users a second, beside what the machine can do and what the official way takes.

Histories of 20 items and titles are a data set's; candidates are drawn at random, which changes no time. All ways and
the machine's own rate take turns, so that a machine that is busy now and then is so for all of them; medians are told.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from llamarec_cli.artefacts.base_model import need_base_model
from llamarec_cli.artefacts.context import Context
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
from llamarec_cli.ranking.examples import MAX_HISTORY, RankingExample
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

_CANDIDATES = 20
# As the official code evaluates.
_OFFICIAL_BATCH = 16
# For the histories of all users of a round.
_ENOUGH_BYTES = 2**40


@dataclass(frozen=True)
class ThroughputBench:
    """What was measured, and on what; times in milliseconds a user, medians over rounds.

    Attributes:
        machine: Hardware and versions.
        model: Base model.
        precision: What the engine computed in.
        users: Prompts of a round.
        rounds: Measurements of each.
        prompt_tokens: Mean length of a prompt.
        engine_ms: The engine, as it ranks a file: nothing is known of any user.
        again_ms: The same users, whose histories it knows, with other candidates.
        official_ms: The official way: float32, padded batches of 16, logits of the whole vocabulary at all positions.
            None where it was not asked for.
        gflops: Rate of the engine, in 10^9 multiplications and additions a second.
        machine_gflops: Rate of matrix products in float32 if that is it, else in bfloat16.
        peak_bytes: How far memory rises above the loaded model meanwhile; None where the system does not tell.
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
        """Users that the engine ranks a second."""
        return 1000 / self.engine_ms

    @property
    def tokens_per_second(self) -> float:
        """Prompt tokens a second."""
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
        context: Surroundings.
        dataset: Name of the data set.
        base: Base model.
        precision: What the engine computes in; by default what the device is best at.
        users: Prompts of a round.
        rounds: Measurements of each way.
        official: Whether the official way is measured as well, which takes most of the time.

    Raises:
        LlamaRecError: The data set has fewer users with 20 items of history.
    """
    data, _ = need_dataset(context, dataset)
    cases = held_out(data, Split.TEST)
    histories = cases.histories
    long = [histories[user][-MAX_HISTORY:] for user in range(len(histories)) if len(histories[user]) >= MAX_HISTORY]
    if len(long) < users:
        raise LlamaRecError(
            f"{dataset} has {len(long)} users with {MAX_HISTORY} items of history, fewer than the {users} of a round.",
            "Lower --users, or give another --dataset.",
        )
    device = best_device()
    path = need_base_model(context, base).path
    tokenizer = load_tokenizer(path)
    context.report(Progress("measure the machine"))
    model = load_for_ranking(path, device, precision)
    encoder = PromptEncoder(tokenizer, data.titles)
    generator = np.random.default_rng(0)
    drawn = [long[user] for user in generator.permutation(len(long))[:users]]

    def with_candidates() -> list[RankingExample]:
        pools = [generator.choice(data.item_count, size=_CANDIDATES, replace=False) + 1 for _ in drawn]
        return [RankingExample(one, pool.astype(np.int32), 0) for one, pool in zip(drawn, pools, strict=True)]

    first, second = with_candidates(), with_candidates()
    prompts = [encoder.encode(one.history.tolist(), one.candidates.tolist()) for one in first]
    plain = load_base_model(path, device, dtype=torch.float32) if official else None
    if plain is not None:
        plain.set_attn_implementation("sdpa")
    # Users of a file come once, so nothing is kept of them, and every token of theirs is computed.
    file_engine = RankingEngine(model, encoder, prefix_bytes=0)
    knowing_engine = RankingEngine(model, encoder, prefix_bytes=_ENOUGH_BYTES)
    _rank_again(knowing_engine, first)
    ways = {"engine": partial(_rank, file_engine, first), "again": partial(_rank_again, knowing_engine, second)}
    if plain is not None:
        ways["official"] = partial(official_way, plain, prompts, encoder.label_ids, tokenizer.eos_token_id)
    peak = peak_memory(ways["engine"])
    times: dict[str, list[float]] = {name: [] for name in ways}
    machines: list[Machine] = []
    # The first round warms up.
    for index in range(rounds + 1):
        for name, work in ways.items():
            took = times_ms(work, 1, warm_up=0)[0] / users
            if index:
                times[name].append(took)
            context.report(Progress(f"measure, {name}", index, rounds))
        machines.append(measure_machine())
    medians = {name: statistics.median(of_name) for name, of_name in times.items()}
    computed_in = torch.bfloat16 if precision is Precision.NF4 else model.dtype
    machine = replace(
        machines[0],
        float32_gflops=statistics.median(one.float32_gflops for one in machines),
        bfloat16_gflops=statistics.median(one.bfloat16_gflops for one in machines),
    )
    return ThroughputBench(
        machine=machine,
        model=base,
        precision=str(precision or model.dtype).removeprefix("torch."),
        users=users,
        rounds=rounds,
        prompt_tokens=float(np.mean([len(prompt) for prompt in prompts])),
        engine_ms=medians["engine"],
        again_ms=medians["again"],
        official_ms=medians.get("official"),
        gflops=float(np.mean([flops(model, len(prompt)) for prompt in prompts])) / medians["engine"] / 1e6,
        machine_gflops=machine.float32_gflops if computed_in == torch.float32 else machine.bfloat16_gflops,
        peak_bytes=peak,
    )


def _rank(engine: RankingEngine, examples: Sequence[RankingExample]) -> None:
    for _ in engine.rank_many(examples):
        pass


def _rank_again(engine: RankingEngine, examples: Sequence[RankingExample]) -> None:
    """Rank one by one, as a user who comes back is, also where a GPU would rank several together."""
    for one in examples:
        engine.rank(one.history.tolist(), one.candidates.tolist())


@torch.inference_mode()
def official_way(model: Any, prompts: Sequence[Sequence[int]], labels: Sequence[int], padding: int) -> None:
    """Rank prompts as the official code does: padded at their left, logits of every token at every position.

    Args:
        model: A transformers causal language model.
        prompts: Token ids of each.
        labels: Token ids of the index letters.
        padding: Token that pads.
    """
    for begin in range(0, len(prompts), _OFFICIAL_BATCH):
        some = prompts[begin : begin + _OFFICIAL_BATCH]
        longest = max(map(len, some))
        fill = [longest - len(prompt) for prompt in some]
        ids_BL = torch.tensor([[padding] * n + list(p) for n, p in zip(fill, some, strict=True)], device=model.device)
        mask_BL = torch.tensor([[0] * n + [1] * (longest - n) for n in fill], device=model.device)
        logits_BLV = model(input_ids=ids_BL, attention_mask=mask_BL, use_cache=False).logits
        torch.log_softmax(logits_BLV[:, -1, list(labels)].float(), dim=-1).cpu()


def flops(model: Any, tokens: int) -> float:
    """Return the multiplications and additions of one prompt: the linear maps, and attention below its diagonal."""
    # Of quantised maps the sizes are told by the module, not by its packed weights.
    maps = [module for module in transformer_of(model).modules() if hasattr(module, "in_features")]
    weights: int = sum(module.in_features * module.out_features for module in maps)
    layers: int = model.config.num_hidden_layers
    width: int = model.config.hidden_size
    return 2.0 * tokens * (weights + tokens * layers * width)
