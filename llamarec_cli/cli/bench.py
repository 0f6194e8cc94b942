"""`llamarec bench retriever`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from llamarec_cli.cli import console, names
from llamarec_cli.cli.session import pipeline_context

if TYPE_CHECKING:
    from llamarec_cli.pipeline.machine import Machine

app = typer.Typer(help="Measure time and memory.", no_args_is_help=True, rich_markup_mode=None)

_RETRIEVER_EPILOG = """Examples:

llamarec bench retriever --dataset ml-100k-1998

llamarec bench retriever --dataset beauty --model sasrec --json"""


@app.command("retriever", epilog=_RETRIEVER_EPILOG)
def _retriever(
    dataset: Annotated[
        str, typer.Option(help="Name of the data set whose batches are used.", autocompletion=names.datasets)
    ] = "ml-100k-1998",
    model: Annotated[
        str, typer.Option(help="lrurec, sasrec, bert4rec or narm.", autocompletion=names.retriever_models)
    ] = "lrurec",
    steps: Annotated[int, typer.Option(min=1, help="Training steps to time.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time training steps and the evaluation of users, and measure the memory that evaluation takes.

    The rate of the machine's matrix products stands beside them, so that figures of different machines compare.
    """
    from llamarec_cli.pipeline.bench_retriever import bench_retriever

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


def describe_machine(machine: Machine) -> str:
    """Return the line that goes under a table of times."""
    return (
        f"{machine.device}, {machine.threads} threads, torch {machine.torch}; matrix products: "
        f"{machine.float32_gflops:,.0f} GFLOP/s in float32, {machine.bfloat16_gflops:,.0f} in bfloat16."
    )
