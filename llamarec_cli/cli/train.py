"""`llamarec train retriever` and `llamarec train ranker`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.session import pipeline_context
from llamarec_cli.config import read_settings
from llamarec_cli.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from llamarec_cli.store.registry import Artefact

app = typer.Typer(help="Train one of the two stages.", no_args_is_help=True, rich_markup_mode=None)

_Dataset = Annotated[
    str,
    typer.Option(
        "--dataset", help="Name of the data set; prepared first if it is missing.", autocompletion=complete.datasets
    ),
]
_Name = Annotated[str | None, typer.Option("--name", help="Name of the checkpoint, as in games/lrurec-2.")]
_Config = Annotated[Path | None, typer.Option("--config", help="TOML file with hyper-parameters.")]
_Seed = Annotated[int | None, typer.Option("--seed", help="Seed of initialisation, order and dropout.")]
_Minutes = Annotated[
    float | None,
    typer.Option("--max-minutes", min=0.0, help="Stop training at the first validation after so long."),
]
_Replace = Annotated[bool, typer.Option("--replace", help="Overwrite a checkpoint of that name.")]
_NoAuto = Annotated[bool, typer.Option("--no-auto", help="Refuse missing steps instead of taking them.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_RETRIEVER_EPILOG = """Examples:

llamarec train retriever --dataset beauty

llamarec train retriever --dataset ml-100k --model sasrec --search"""

_RANKER_EPILOG = """Examples:

llamarec train ranker --dataset games

llamarec train ranker --dataset ml-100k --strategy likelihood

llamarec train ranker --dataset games --negatives mixed --max-minutes 60"""


@app.command("retriever", epilog=_RETRIEVER_EPILOG)
def _retriever(
    dataset: _Dataset,
    model: Annotated[
        str,
        typer.Option(
            help="lrurec, sasrec, bert4rec, narm, textrec (reads titles), popularity or ensemble.",
            autocompletion=complete.retriever_models,
        ),
    ] = "lrurec",
    preset: Annotated[str, typer.Option(help="tuned, the best found, or paper, the paper's recipe.")] = "tuned",
    base: Annotated[
        str,
        typer.Option(help="Language model that reads the titles for textrec.", autocompletion=complete.base_models),
    ] = "smollm2-135m",
    features: Annotated[
        str | None,
        typer.Option(
            help="What textrec knows of a title: language-model, or as a control tfidf, both or random.",
            autocompletion=complete.features,
        ),
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Search the paper's grid of weight decay and dropout.")
    ] = False,
    name: _Name = None,
    config: _Config = None,
    seed: _Seed = None,
    max_minutes: _Minutes = None,
    replace: _Replace = False,
    no_auto: _NoAuto = False,
    as_json: _Json = False,
) -> None:
    """Make a recommender for the first stage, and keep its top 20 candidates.

    The configuration file has a table of the model's name for the architecture, and [training] for the rest. A search
    gives up hopeless configurations early and trains the best one to its end; started again, it goes on.
    """
    from llamarec_cli.evaluation.paper import TABLE_1
    from llamarec_cli.pipeline.train.retriever import train
    from llamarec_cli.pipeline.train.retriever_search import search as search_grid
    from llamarec_cli.retrieval.presets import Preset

    if preset not in list(Preset):
        raise UnknownNameError(preset, "preset", Preset)
    if search and max_minutes is not None:
        raise UsageError(
            "--search and --max-minutes do not go together: where the time ends would decide what is chosen.",
            "Interrupt a search whenever you like; the same command goes on with it.",
        )

    settings = read_settings(config)
    settings.give("training", seed=seed)
    settings.give("textrec", features=features)
    overrides = settings.tables
    with pipeline_context(auto=not no_auto, sources=settings.sources) as context:
        if search:
            artefact = search_grid(
                context, dataset, model=model, name=name, preset=Preset(preset), overrides=overrides, replace=replace
            )
        else:
            artefact = train(
                context,
                dataset,
                model=model,
                name=name,
                preset=Preset(preset),
                base=base,
                overrides=overrides,
                max_minutes=max_minutes,
                replace=replace,
            )
    metrics = artefact.manifest.metrics
    if as_json:
        console.print_json({"name": artefact.manifest.name, **metrics})
        return
    if search:
        _show_trials(metrics["search"])
    paper = TABLE_1.get(dataset, {}).get(model, {})
    rows = [
        [metric, f"{metrics['validation'][metric]:.4f}", f"{figure:.4f}", *([f"{paper[metric]:.4f}"] if paper else [])]
        for metric, figure in metrics["test"].items()
    ]
    columns = ["", "validation", "test", *(["paper, test"] if paper else [])]
    console.print_table(_heading(artefact), columns, rows, numeric=columns[1:])
    recall = metrics["recall@20"]
    console.print_lines(
        f"Recall@20, the most a ranker can reach: validation {recall['validation']:.4f}, test {recall['test']:.4f}."
    )


@app.command("ranker", epilog=_RANKER_EPILOG)
def _ranker(
    dataset: _Dataset,
    base: Annotated[
        str,
        typer.Option(
            help="Base model: smollm2-135m, a folder, or OWNER/MODEL of the Hugging Face Hub.",
            autocompletion=complete.base_models,
        ),
    ] = "smollm2-135m",
    retriever: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint of the first stage; DATASET/ensemble by default, trained if it is missing.",
            autocompletion=complete.retrievers,
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="How a language model reads the candidates: verbalizer, which trains an adapter; likelihood, which "
            "needs none; or signals, not at all. By default signals on a CPU, verbalizer on CUDA.",
            autocompletion=complete.strategies,
        ),
    ] = None,
    signals: Annotated[
        str,
        typer.Option(
            help="Which counts and words may count in the final order: of together, following, titles; or none."
        ),
    ] = "together,following,titles",
    k: Annotated[int, typer.Option("--k", help="Candidates that a language model reads; at most 50.")] = 20,
    name: _Name = None,
    preset: Annotated[str | None, typer.Option(help="paper or cpu; by default paper on CUDA, cpu on a CPU.")] = None,
    quantize: Annotated[str | None, typer.Option(help="nf4 or none; by default nf4 on CUDA, none on a CPU.")] = None,
    negatives: Annotated[
        str | None,
        typer.Option(
            help="What the true item is trained against: random items, as the paper; retriever, the candidates of one "
            "that did not see the user; or mixed, from the first to the second. Default: random."
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="What the right letter is trained against: vocabulary, every token, as the paper; or letters, those "
            "of the other candidates alone. Default: vocabulary."
        ),
    ] = None,
    max_examples: Annotated[int | None, typer.Option(min=1, help="Stop an epoch after so many examples.")] = None,
    config: _Config = None,
    seed: _Seed = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            min=0.0,
            help="Train the adapter for so long at most; retrievers before it, and the fit after it, do not count.",
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for loss, learning rate and validation, as TensorBoard reads them.")
    ] = None,
    replace: _Replace = False,
    no_auto: _NoAuto = False,
    as_json: _Json = False,
) -> None:
    """Make the second stage: order what the first stage retrieves.

    The scores of the first stage's retrievers, counts of item pairs, words of titles and, if asked, a language model
    that reads the candidates are weighed by a conditional logit that is fitted on validation users. Where nothing beats
    the first stage's own order, that order stands.

    The configuration file has a table [ranker]; the other tables count if the retriever has to be trained first.

    On several GPUs: accelerate launch --multi_gpu -m llamarec_cli train ranker, with the same options.
    """
    from llamarec_cli.pipeline.train.launch import joined_processes
    from llamarec_cli.pipeline.train.ranker import train

    trains = {
        "preset": preset,
        "quantize": quantize,
        "negatives": negatives,
        "loss": loss,
        "max-examples": max_examples,
        "max-minutes": max_minutes,
        "tensorboard": tensorboard,
    }
    given = [name for name, value in trains.items() if value is not None]
    if strategy in ("likelihood", "signals") and given:
        raise UsageError(f"--{given[0]} is about training, and --strategy {strategy} trains nothing.", "Leave it out.")
    if strategy is None and given:
        # Whoever asks for something about the training of an adapter asks for an adapter.
        strategy = "verbalizer"
    settings = read_settings(config)
    settings.give("training", seed=seed)
    settings.give("ranker", seed=seed, negatives=negatives, loss=loss, max_examples=max_examples)
    overrides = settings.tables
    with (
        joined_processes() as processes,
        pipeline_context(auto=not no_auto, sources=settings.sources, speaks=processes.is_main) as context,
    ):
        artefact = train(
            context,
            dataset,
            base=base,
            strategy=strategy,
            k=k,
            signals=[] if signals == "none" else signals.split(","),
            name=name,
            preset=preset,
            quantize=quantize,
            retriever=retriever,
            overrides=overrides,
            max_minutes=max_minutes,
            tensorboard=tensorboard,
            replace=replace,
            processes=processes,
        )
    if artefact is None:
        return
    metrics = artefact.manifest.metrics
    if as_json:
        console.print_json({"name": artefact.manifest.name, **metrics})
        return
    fusion = metrics["fusion"]
    own = fusion["groups"]["retriever"]["ndcg@10"]
    console.print_table(
        f"{_heading(artefact)}; NDCG@10 of {fusion['users']:,} validation users whose item is in the pool",
        ["", "NDCG@10", "gain", "interval"],
        [
            [
                f"{name} (ranks)" if name == fusion["chosen"] else name,
                f"{group['ndcg@10']:.4f}",
                console.percent(group["gain"], own),
                f"± {console.percent(1.96 * group['error'], own, '')}",
            ]
            for name, group in fusion["groups"].items()
        ],
        numeric=["NDCG@10", "gain", "interval"],
    )
    if fusion["chosen"] == "retriever":
        console.warn(
            "Nothing beat the first stage by more than chance (2.4 standard errors), so recommendations keep its order."
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
    console.print_table("Search, best validation of each", [*figures, ""], rows, numeric=figures)


def _heading(artefact: Artefact) -> str:
    metrics = artefact.manifest.metrics
    config = artefact.manifest.config
    made = [f"{metrics[unit]:,} {unit}" for unit in ("steps", "examples") if unit in metrics]
    made.append(f"{metrics['minutes']} minutes on {metrics['device']}")
    made += [f"seed {config[table]['seed']}" for table in ("training", "ranker") if table in config]
    return f"{artefact.manifest.name}: {', '.join(made)}"
