"""`llamarec bench latency`, `llamarec bench throughput` and `llamarec bench retriever`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.options import PrecisionOption
from llamarec_cli.cli.session import pipeline_context
from llamarec_cli.errors import UsageError
from llamarec_cli.numbers import whole_numbers
from llamarec_cli.outputs import need_output, written_whole

if TYPE_CHECKING:
    from llamarec_cli.pipeline.bench.machine import Machine

app = typer.Typer(help="Measure time and memory.", no_args_is_help=True, rich_markup_mode=None)

# Tokens; twenty such titles and twenty candidates fill the context of the largest models.
_LONGEST_TITLE = 1000
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


@app.command("latency", epilog=_LATENCY_EPILOG)
def _latency(
    base: Annotated[
        str,
        typer.Option(help="Base model: a known name, a folder, or OWNER/MODEL.", autocompletion=complete.base_models),
    ] = "smollm2-135m",
    architecture: Annotated[
        str | None, typer.Option(help="smollm2-135m, tinyllama-1.1b or llama-2-7b, with random weights.")
    ] = None,
    strategies: Annotated[
        str, typer.Option(help="Which of {strategies}, separated by commas.")
    ] = "verbalizer,pointwise,generate-letters,generate-titles",
    lengths: Annotated[str, typer.Option(help="Tokens of a title.")] = "5,10,15,20,25,30,35,40",
    repeats: Annotated[int, typer.Option(min=1, help="Measurements of what takes one pass; of others one.")] = 3,
    precision: PrecisionOption = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the paper's Figure 3: a .png or .svg file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time the ranking of one user, in one forward pass and by generation, over the length of titles.

    20 items of history, 20 candidates, made-up titles. Generation runs to its limit, all titles together.
    """
    from llamarec_cli.evaluation.latency import check_plotting, describe_latency, plot_latency
    from llamarec_cli.names import parse_precision
    from llamarec_cli.pipeline.bench.latency import bench_latency

    if plot is not None and plot.suffix not in (".png", ".svg"):
        raise UsageError(f"{plot} must end in .png or .svg.", "Change --plot.")
    if plot is not None:
        need_output(plot, _PLOT_REMEDY)
        check_plotting()
    try:
        title_lengths = whole_numbers(lengths, _LONGEST_TITLE)
    except ValueError as error:
        raise UsageError(
            f"--lengths must be whole numbers from 1 to {_LONGEST_TITLE:,}, as in 5,10,20, not {lengths[:80]}.",
            "llamarec bench latency --help",
        ) from error
    computed_in = parse_precision(precision)
    with pipeline_context() as context:
        result = bench_latency(
            context,
            base=base,
            architecture=architecture,
            strategies=strategies.split(","),
            title_lengths=title_lengths,
            repeats=repeats,
            precision=computed_in,
        )
    where = f"{result.model} in {result.precision}; {describe_machine(result.machine)}"
    if plot is not None:
        with written_whole(plot, _PLOT_REMEDY) as partial:
            plot_latency(result.points, where, partial, plot.suffix[1:])
        console.say(f"Wrote {plot}.")
    if as_json:
        console.print_json({"environment": result.environment(), "points": [asdict(point) for point in result.points]})
        return
    measured = list(dict.fromkeys(point.strategy for point in result.points))
    by_length: dict[int, list[str]] = {}
    for point in result.points:
        text = f"{point.median_seconds:.2f}" + (f" ± {point.spread / 2:.2f}" if point.repeats > 1 else "")
        by_length.setdefault(point.title_length, [str(point.title_length)]).append(text)
    columns = ["tokens a title", *measured]
    title = "Seconds for one user, 20 items of history, 20 candidates; median, half of the range"
    console.print_table(title, columns, list(by_length.values()), numeric=columns)
    console.print_lines(*describe_latency(result.points), where)


@app.command("retriever", epilog=_RETRIEVER_EPILOG)
def _retriever(
    dataset: Annotated[
        str, typer.Option(help="Name of the data set whose batches are used.", autocompletion=complete.datasets)
    ] = "ml-100k-1998",
    model: Annotated[
        str, typer.Option(help="lrurec, sasrec, bert4rec or narm.", autocompletion=complete.retriever_models)
    ] = "lrurec",
    steps: Annotated[int, typer.Option(min=1, help="Training steps to time.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time training steps and the evaluation of users, and measure the memory that evaluation takes.

    The rate of the machine's matrix products stands beside them, so that figures of different machines compare.
    """
    from llamarec_cli.pipeline.bench.retriever import bench_retriever

    with pipeline_context() as context:
        result = bench_retriever(context, dataset, model=model, steps=steps)
    if as_json:
        console.print_json(asdict(result) | {"users_per_second": result.users_per_second})
        return
    memory = "not known" if result.evaluation_bytes is None else f"{result.evaluation_bytes / 1e6:.0f} MB"
    rows = [
        ["training step", f"{result.step_ms:.1f} ms", f"{result.positions:,.0f} positions, {result.steps} steps"],
        ["rank one user's item", f"{result.rank_ms:.3f} ms", f"{result.users_per_second:,.0f} users a second"],
        ["20 best items of a user", f"{result.retrieve_ms:.3f} ms", f"{1000 / result.retrieve_ms:,.0f} users a second"],
        ["peak memory of evaluation", memory, f"above model and data, {result.users:,} users"],
    ]
    console.print_table(f"{model} on {dataset}, medians", ["", "measured", "of"], rows, numeric=["measured"])
    console.print_lines(describe_machine(result.machine))


@app.command("throughput", epilog=_THROUGHPUT_EPILOG)
def _throughput(
    dataset: Annotated[
        str, typer.Option(help="Name of the data set whose prompts are ranked.", autocompletion=complete.datasets)
    ] = "ml-100k-1998",
    base: Annotated[
        str,
        typer.Option(help="Base model: a known name, a folder, or OWNER/MODEL.", autocompletion=complete.base_models),
    ] = "smollm2-135m",
    precision: PrecisionOption = None,
    users: Annotated[int, typer.Option(min=1, help="Prompts of a round.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each way.")] = 3,
    no_official: Annotated[bool, typer.Option("--no-official", help="Leave out the official way.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time the verbalizer on many users, 20 candidates each, beside the official way and with histories known.

    The official way pads batches of 16 in float32 and computes the logits of the whole vocabulary at all positions.
    The aims are those of two cores with bfloat16 instructions.
    """
    from llamarec_cli.names import parse_precision
    from llamarec_cli.pipeline.bench.throughput import bench_throughput

    computed_in = parse_precision(precision)
    with pipeline_context() as context:
        result = bench_throughput(
            context, dataset, base=base, precision=computed_in, users=users, rounds=rounds, official=not no_official
        )
    if as_json:
        rates = {"users_per_second": result.users_per_second, "tokens_per_second": result.tokens_per_second}
        console.print_json(asdict(result) | rates)
        return
    memory = "not known" if result.peak_bytes is None else f"{result.peak_bytes / 1e6:.0f} MB"
    share = result.gflops / result.machine_gflops
    floor = result.engine_ms * share
    rows = [
        ["a user", f"{result.engine_ms:.0f} ms", f"{result.users_per_second:.2f} users a second", ""],
        ["prompt", f"{result.prompt_tokens:.0f} tokens", f"{result.tokens_per_second:,.0f} tokens a second", ""],
        ["rate", f"{result.gflops:,.0f} GFLOP/s", f"{share:.0%} of the machine's matrix products", "55%"],
        ["a user at that full rate", f"{floor:.0f} ms", "the least this precision allows here", ""],
        [
            "the same user again",
            f"{result.again_ms:.0f} ms",
            f"{result.engine_ms / result.again_ms:.2f} times as fast",
            "1.8",
        ],
        ["peak memory", memory, "above the loaded model", ""],
    ]
    if result.official_ms is not None:
        ratio = f"{result.official_ms / result.engine_ms:.2f}, at the full rate {result.official_ms / floor:.2f}"
        rows.append(["the official way", f"{result.official_ms:.0f} ms", f"the engine is faster by {ratio}", "5"])
    title = f"{result.model} in {result.precision}, {result.users} users of {dataset}, medians of {result.rounds}"
    console.print_table(title, ["", "measured", "that is", "aim"], rows, numeric=["measured", "aim"])
    console.print_lines(describe_machine(result.machine))


def describe_machine(machine: Machine) -> str:
    """Return the line that goes under a table of times."""
    return (
        f"{machine.device}, threads: {machine.threads}, torch {machine.torch}; matrix products: "
        f"{machine.float32_gflops:,.0f} GFLOP/s in float32, {machine.bfloat16_gflops:,.0f} in bfloat16."
    )
