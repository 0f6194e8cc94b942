"""`llamarec train retriever`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.options import (
    ConfigOption,
    DatasetOption,
    JsonOption,
    MinutesOption,
    NameOption,
    NoAutoOption,
    ReplaceOption,
    SeedOption,
)
from llamarec_cli.cli.session import pipeline_context
from llamarec_cli.cli.trained import heading
from llamarec_cli.config import read_settings
from llamarec_cli.errors import UnknownNameError

if TYPE_CHECKING:
    from llamarec_cli.store.registry import Artefact

_EPILOG = """Examples:

llamarec train retriever --dataset beauty

llamarec train retriever --dataset ml-100k --model sasrec --search"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("retriever", epilog=_EPILOG)(_retriever)


def _retriever(
    dataset: DatasetOption,
    model: Annotated[
        str,
        typer.Option(
            help="Architecture: {retrievers}. textrec reads titles; ensemble combines others.",
            autocompletion=complete.retriever_models,
        ),
    ] = "lrurec",
    preset: Annotated[
        str,
        typer.Option(
            help="Hyper-parameters, {retriever_presets}: the best found, or the paper's.",
            autocompletion=complete.retriever_presets,
        ),
    ] = "tuned",
    base: Annotated[
        str,
        typer.Option(help="Language model that reads the titles for textrec.", autocompletion=complete.base_models),
    ] = "smollm2-135m",
    features: Annotated[
        str | None,
        typer.Option(
            help="Title features of textrec: {features}. All but the first are controls.",
            autocompletion=complete.features,
        ),
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Search the paper's grid of weight decay and dropout.")
    ] = False,
    name: NameOption = None,
    config: ConfigOption = None,
    seed: SeedOption = None,
    max_minutes: MinutesOption = None,
    replace: ReplaceOption = False,
    no_auto: NoAutoOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a retriever, the first stage, and save its top 20 candidates for every user.

    The configuration file has a table of the model's name for its architecture, and [training] for its training. A
    search repeatedly drops the worse half of the configurations and trains the best one to its end. Started again after
    an interruption, it resumes.
    """
    from llamarec_cli.evaluation.paper import TABLE_1
    from llamarec_cli.pipeline.train.retriever import train
    from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
    from llamarec_cli.pipeline.train.retriever_search import search as search_grid
    from llamarec_cli.retrieval.presets import Preset
    from llamarec_cli.retrieval.registry import RETRIEVERS

    if preset not in list(Preset):
        raise UnknownNameError(preset, "preset", Preset)
    settings = read_settings(config)
    settings.give("training", seed=seed)
    for row in RETRIEVERS.values():
        if row.reads_titles:
            settings.give(row.name, features=features)
    request = RetrieverRequest(
        dataset,
        model=model,
        name=name,
        preset=Preset(preset),
        base=base,
        overrides=settings.tables,
        max_minutes=max_minutes,
        replace=replace,
    )
    with pipeline_context(auto=not no_auto, sources=settings.sources) as context:
        artefact = search_grid(context, request) if search else train(context, request)
    metrics = artefact.manifest.metrics
    if as_json:
        console.print_json({"name": artefact.manifest.name, **metrics})
        return
    if search:
        _show_trials(metrics["search"])
    _show(artefact, TABLE_1.get(dataset, {}).get(model, {}))


def _show(artefact: Artefact, paper: Mapping[str, float]) -> None:
    """Print the metrics on both splits, beside the paper's where it has them."""
    metrics = artefact.manifest.metrics
    rows = [
        [metric, f"{metrics['validation'][metric]:.4f}", f"{figure:.4f}", *([f"{paper[metric]:.4f}"] if paper else [])]
        for metric, figure in metrics["test"].items()
    ]
    columns = ["", "validation", "test", *(["paper, test"] if paper else [])]
    console.print_table(heading(artefact), columns, rows, numeric=columns[1:])
    recall = metrics["recall@20"]
    console.print_lines(
        f"Recall@20, the upper bound for a ranker: validation {recall['validation']:.4f}, test {recall['test']:.4f}."
    )


def _show_trials(trials: list[dict[str, Any]]) -> None:
    figures = ["weight decay", "dropout", "steps", "Recall@10", "NDCG@10"]
    rows = [
        [
            f"{trial['weight_decay']:g}",
            f"{trial['dropout']:g}",
            f"{trial['steps']:,}",
            f"{trial['recall']:.4f}",
            f"{trial['ndcg']:.4f}",
            "chosen" if trial["chosen"] else "",
        ]
        for trial in sorted(trials, key=lambda trial: (-trial["steps"], -trial["recall"]))
    ]
    console.print_table("Search, best validation of each configuration", [*figures, ""], rows, numeric=figures)
