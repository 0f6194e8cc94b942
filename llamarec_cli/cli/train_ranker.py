"""`llamarec train ranker`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.options import (
    ConfigOption,
    DatasetOption,
    JsonOption,
    NameOption,
    NoAutoOption,
    ReplaceOption,
    SeedOption,
)
from llamarec_cli.cli.session import pipeline_context
from llamarec_cli.cli.trained import heading
from llamarec_cli.config import read_settings
from llamarec_cli.errors import UsageError

_EPILOG = """Examples:

llamarec train ranker --dataset games

llamarec train ranker --dataset ml-100k --strategy likelihood

llamarec train ranker --dataset games --negatives mixed --max-minutes 60"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("ranker", epilog=_EPILOG)(_ranker)


def _ranker(
    dataset: DatasetOption,
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
    name: NameOption = None,
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
    config: ConfigOption = None,
    seed: SeedOption = None,
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
    replace: ReplaceOption = False,
    no_auto: NoAutoOption = False,
    as_json: JsonOption = False,
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
        f"{heading(artefact)}; NDCG@10 of {fusion['users']:,} validation users whose item is in the pool",
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
