"""`llamarec bench latency`, `llamarec bench throughput` and `llamarec bench retriever`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.options import JsonOption, PrecisionOption
from llamarec_cli.cli.session import pipeline_context
from llamarec_cli.errors import UsageError, command
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.names import parse_precision
from llamarec_cli.numbers import whole_numbers
from llamarec_cli.outputs import need_output, written_whole
from llamarec_cli.pipeline.bench.random_models import ARCHITECTURES

if TYPE_CHECKING:
    from llamarec_cli.pipeline.bench.latency import LatencyBench
    from llamarec_cli.pipeline.bench.machine import Machine
    from llamarec_cli.pipeline.bench.retriever import RetrieverBench
    from llamarec_cli.pipeline.bench.throughput import ThroughputBench

app = typer.Typer(help="Measure time and memory.", no_args_is_help=True, rich_markup_mode=None)

# Tokens. Twenty such titles and twenty candidates fill the context of the largest models.
_LONGEST_TITLE = 1000
_PLOT_FORMATS = (".png", ".svg")
_PLOT_REMEDY = "change --plot"

_RETRIEVER_EPILOG = """Examples:

llamarec bench retriever --dataset ml-100k-1998

llamarec bench retriever --dataset beauty --model sasrec --json"""


_LATENCY_EPILOG = """Examples:

llamarec bench latency --plot figure-3.svg

llamarec bench latency --architecture llama-2-7b --lengths 20 --json"""


_THROUGHPUT_EPILOG = """Examples:

llamarec bench throughput --dataset beauty

llamarec bench throughput --precision fp32 --no-official --json"""

_BaseOption = Annotated[
    str,
    typer.Option(
        "--base", help="Base model: a known name, a folder, or OWNER/MODEL.", autocompletion=complete.base_models
    ),
]


@app.command("latency", epilog=_LATENCY_EPILOG)
def _latency(
    base: _BaseOption = DEFAULT_BASE,
    architecture: Annotated[
        str | None, typer.Option(help=f"Random weights in place of the base model: {', '.join(ARCHITECTURES)}.")
    ] = None,
    strategies: Annotated[
        str | None, typer.Option(help="Which of {strategies}, separated by commas; by default all.")
    ] = None,
    lengths: Annotated[str, typer.Option(help="Tokens of a title.")] = "5,10,15,20,25,30,35,40",
    repeats: Annotated[
        int, typer.Option(min=1, help="Measurements of each one-pass strategy; others are measured once.")
    ] = 3,
    precision: PrecisionOption = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the paper's Figure 3: a .png or .svg file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Time the ranking of one user with each strategy, over the length of titles.

    20 items of history, 20 candidates, synthetic titles. Generation runs to its length limit, that of all titles.
    """
    from llamarec_cli.evaluation.latency import check_plotting, plot_latency
    from llamarec_cli.pipeline.bench.latency import bench_latency
    from llamarec_cli.strategies.registry import STRATEGIES

    if plot is not None:
        if plot.suffix not in _PLOT_FORMATS:
            raise UsageError(f"{plot} must end in .png or .svg.", "Change --plot.")
        need_output(plot, _PLOT_REMEDY)
        check_plotting()
    title_lengths = _parse_lengths(lengths)
    parsed = parse_precision(precision)
    with pipeline_context() as context:
        result = bench_latency(
            context,
            base=base,
            architecture=architecture,
            strategies=list(STRATEGIES) if strategies is None else strategies.split(","),
            lengths=title_lengths,
            repeats=repeats,
            precision=parsed,
        )
    if plot is not None:
        with written_whole(plot, _PLOT_REMEDY) as partial:
            plot_latency(result.points, _describe_environment(result), partial, plot.suffix[1:])
        console.say(f"Wrote {plot}.")
    if as_json:
        console.print_json({"environment": result.environment(), "points": [asdict(point) for point in result.points]})
    else:
        _print_latency(result)


def _parse_lengths(lengths: str) -> list[int]:
    try:
        return whole_numbers(lengths, _LONGEST_TITLE)
    except ValueError as error:
        raise UsageError(
            f"--lengths must be whole numbers from 1 to {_LONGEST_TITLE:,}, as in 5,10,20, not {lengths[:80]}.",
            command("bench latency", help=True),
        ) from error


def _print_latency(result: LatencyBench) -> None:
    from llamarec_cli.evaluation.latency import describe_latency

    strategies = list(dict.fromkeys(point.strategy for point in result.points))
    rows: dict[int, list[str]] = {}
    for point in result.points:
        cell = f"{point.median_seconds:.2f}" + (f" ± {point.spread / 2:.2f}" if point.repeats > 1 else "")
        rows.setdefault(point.title_length, [str(point.title_length)]).append(cell)
    columns = ["tokens a title", *strategies]
    title = "Seconds for one user, 20 items of history, 20 candidates; median ± half of the range"
    console.print_table(title, columns, list(rows.values()), numeric=columns)
    console.print_lines(*describe_latency(result.points), _describe_environment(result))


def _describe_environment(result: LatencyBench) -> str:
    return f"{result.model} in {result.precision}; {_describe_machine(result.machine)}"


@app.command("retriever", epilog=_RETRIEVER_EPILOG)
def _retriever(
    dataset: Annotated[
        str, typer.Option(help="Name of the data set whose batches are used.", autocompletion=complete.datasets)
    ] = "ml-100k-1998",
    model: Annotated[
        str, typer.Option(help="Architecture: {neural_retrievers}.", autocompletion=complete.neural_retrievers)
    ] = "lrurec",
    steps: Annotated[int, typer.Option(min=1, help="Training steps to time.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Time training steps and the evaluation of users, and measure the memory of evaluation.

    The rate of the machine's matrix products is printed as well, so that figures of different machines compare.
    """
    from llamarec_cli.pipeline.bench.retriever import bench_retriever

    with pipeline_context() as context:
        result = bench_retriever(context, dataset, model=model, steps=steps)
    if as_json:
        console.print_json(asdict(result) | {"users_per_second": result.users_per_second})
    else:
        _print_retriever(result)


def _print_retriever(result: RetrieverBench) -> None:
    rows = [
        ["training step", f"{result.step_ms:.1f} ms", f"{result.positions:,.0f} positions, {result.steps} steps"],
        ["rank one user's item", f"{result.rank_ms:.3f} ms", f"{result.users_per_second:,.0f} users a second"],
        ["20 best items of a user", f"{result.retrieve_ms:.3f} ms", f"{1000 / result.retrieve_ms:,.0f} users a second"],
        [
            "peak memory of evaluation",
            _megabytes(result.evaluation_bytes),
            f"above model and data, {result.users:,} users",
        ],
    ]
    title = f"{result.model} on {result.dataset}, medians"
    console.print_table(title, ["", "measured", "of"], rows, numeric=["measured"])
    console.print_lines(_describe_machine(result.machine))


@app.command("throughput", epilog=_THROUGHPUT_EPILOG)
def _throughput(
    dataset: Annotated[
        str, typer.Option(help="Name of the data set whose prompts are ranked.", autocompletion=complete.datasets)
    ] = "ml-100k-1998",
    base: _BaseOption = DEFAULT_BASE,
    precision: PrecisionOption = None,
    users: Annotated[int, typer.Option(min=1, help="Users per round.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each method.")] = 3,
    no_official: Annotated[bool, typer.Option("--no-official", help="Skip the official implementation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Time the verbalizer on many users, 20 candidates each: with and without cached histories, and as officially.

    The official implementation pads batches of 16 in float32 and computes the logits of the whole vocabulary at all
    positions. The targets in the table are for two cores with bfloat16 instructions.
    """
    from llamarec_cli.pipeline.bench.throughput import bench_throughput

    parsed = parse_precision(precision)
    with pipeline_context() as context:
        result = bench_throughput(
            context, dataset, base=base, precision=parsed, users=users, rounds=rounds, official=not no_official
        )
    if as_json:
        rates = {"users_per_second": result.users_per_second, "tokens_per_second": result.tokens_per_second}
        console.print_json(asdict(result) | rates)
    else:
        _print_throughput(result, dataset)


def _print_throughput(result: ThroughputBench, dataset: str) -> None:
    utilization = result.gflops / result.machine_gflops
    full_rate_ms = result.engine_ms * utilization
    speedup = result.engine_ms / result.again_ms
    rows = [
        ["one user", f"{result.engine_ms:.0f} ms", f"{result.users_per_second:.2f} users a second", ""],
        ["prompt", f"{result.prompt_tokens:.0f} tokens", f"{result.tokens_per_second:,.0f} tokens a second", ""],
        ["rate", f"{result.gflops:,.0f} GFLOP/s", f"{utilization:.0%} of the machine's matrix products", "55%"],
        ["one user at the full rate", f"{full_rate_ms:.0f} ms", "lower bound in this precision", ""],
        ["the same user again", f"{result.again_ms:.0f} ms", f"{speedup:.2f} times as fast", "1.8"],
        ["peak memory", _megabytes(result.peak_bytes), "above the loaded model", ""],
    ]
    if result.official_ms is not None:
        ratios = result.official_ms / result.engine_ms, result.official_ms / full_rate_ms
        rows.append(
            [
                "official implementation",
                f"{result.official_ms:.0f} ms",
                f"the engine is {ratios[0]:.2f} times as fast; at the full rate {ratios[1]:.2f}",
                "5",
            ]
        )
    title = f"{result.model} in {result.precision}, {result.users} users of {dataset}, medians of {result.rounds}"
    console.print_table(title, ["", "measured", "that is", "target"], rows, numeric=["measured", "target"])
    console.print_lines(_describe_machine(result.machine))


def _megabytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e6:.0f} MB"


def _describe_machine(machine: Machine) -> str:
    """Return the line below a table of times."""
    return (
        f"{machine.device}, threads: {machine.threads}, torch {machine.torch}; matrix products: "
        f"{machine.float32_gflops:,.0f} GFLOP/s in float32, {machine.bfloat16_gflops:,.0f} in bfloat16."
    )
