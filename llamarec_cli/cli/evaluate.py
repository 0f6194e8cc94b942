"""`llamarec evaluate`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llamarec_cli.cli import console
from llamarec_cli.cli.session import pipeline_context

_EPILOG = """Examples:

llamarec evaluate --dataset ml-100k

llamarec evaluate --dataset beauty --json"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("evaluate", epilog=_EPILOG)(_evaluate)


def _evaluate(
    dataset: Annotated[str, typer.Option(help="Name of the data set.")],
    ranker: Annotated[str | None, typer.Option(help="Checkpoint; DATASET/smollm2-135m by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure both stages on the test split, beside the paper's figures.

    Recall, MRR and NDCG at 5 and 10, over all users and over those whose item is among the 20 candidates.
    """
    from llamarec_cli.pipeline.evaluate import evaluate

    with pipeline_context() as context:
        result = evaluate(context, dataset, ranker=ranker)
    if as_json:
        models = {name: {"all": one.all_users, "valid": one.valid_users} for name, one in result.models.items()}
        console.print_json(
            {
                "dataset": dataset,
                "users": result.users,
                "valid_users": result.valid_users,
                "fusion_weight": result.weight,
                "models": models,
            }
        )
        return
    everybody = {name: one.all_users for name, one in result.models.items()}
    valid = {name: one.valid_users for name, one in result.models.items()}
    _show(f"{dataset}, all {result.users:,} users (paper: Table 1)", everybody, result.paper_all)
    _show(f"{dataset}, {result.valid_users:,} users whose item was retrieved (Table 3)", valid, result.paper_valid)
    console.print_lines(f"llamarec: fused with the retriever, weight {result.weight:.2f} on the verbalizer.")


def _show(title: str, ours: dict[str, dict[str, float]], paper: dict[str, Any]) -> None:
    columns = ["", *ours, *(f"paper: {name}" for name in paper)]
    metrics = next(iter(ours.values()))
    rows = [
        [metric, *(f"{one[metric]:.4f}" for one in ours.values()), *(f"{one[metric]:.4f}" for one in paper.values())]
        for metric in metrics
    ]
    console.print_table(title, columns, rows, numeric=columns[1:])
