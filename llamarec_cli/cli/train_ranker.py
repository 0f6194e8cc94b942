"""`llamarec train ranker`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamarec_cli.cli import complete, console
from llamarec_cli.cli.evaluate_tables import likelihood
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
from llamarec_cli.strategies.registry import DEFAULT_STRATEGY, NO_MODEL, STRATEGIES

if TYPE_CHECKING:
    from llamarec_cli.store.registry import Artefact

_EPILOG = """Examples:

llamarec train ranker --dataset games

llamarec train ranker --dataset ml-100k --strategy likelihood

llamarec train ranker --dataset games --negatives mixed --max-minutes 60"""


_BaseOption = Annotated[
    str,
    typer.Option(
        help="Base model: smollm2-135m, a folder, or OWNER/MODEL of the Hugging Face Hub.",
        autocompletion=complete.base_models,
    ),
]
_RetrieverOption = Annotated[
    str | None,
    typer.Option(
        help="Checkpoint of the first stage; DATASET/ensemble by default, trained if it is missing.",
        autocompletion=complete.retrievers,
    ),
]
_StrategyOption = Annotated[
    str | None,
    typer.Option(
        help="How a language model scores the candidates: {rankings}. signals uses no language model and is the "
        "default on a CPU; verbalizer trains an adapter and is the default on CUDA; likelihood trains no weights.",
        autocompletion=complete.strategies,
    ),
]
_SignalsOption = Annotated[
    str,
    typer.Option(help="Cheap signals in the final score: of together, following, titles; or none."),
]
_KOption = Annotated[int, typer.Option("--k", help="Candidates that the language model scores; at most 50.")]
_PresetOption = Annotated[
    str | None,
    typer.Option(
        help="Hyper-parameters of the training: {presets}; by default paper on CUDA, cpu on a CPU.",
        autocompletion=complete.presets,
    ),
]
_QuantizeOption = Annotated[
    str | None,
    typer.Option(
        help="Base model's weights in training: {quantizations}; by default nf4 on CUDA, none on a CPU.",
        autocompletion=complete.quantizations,
    ),
]
_NegativesOption = Annotated[
    str | None,
    typer.Option(
        help="Negatives in training: {negatives}. random, the default, as in the paper; retriever, candidates of a "
        "retriever not trained on the user; mixed, a curriculum from random to retriever.",
        autocompletion=complete.negatives,
    ),
]
_LossOption = Annotated[
    str | None,
    typer.Option(
        help="Training loss: {losses}. Cross-entropy of the right letter over the vocabulary, the default, as in "
        "the paper; or over the candidates' letters.",
        autocompletion=complete.losses,
    ),
]
_MaxExamplesOption = Annotated[int | None, typer.Option(min=1, help="Training examples per epoch; all by default.")]
_MaxMinutesOption = Annotated[
    float | None,
    typer.Option(
        "--max-minutes",
        min=0.0,
        help="Time limit of the adapter's training, without the retrievers before it and the fit after it.",
    ),
]
_TensorBoardOption = Annotated[Path | None, typer.Option(help="Folder for TensorBoard logs of the training.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("ranker", epilog=_EPILOG)(_ranker)


def _ranker(
    dataset: DatasetOption,
    base: _BaseOption = "smollm2-135m",
    retriever: _RetrieverOption = None,
    strategy: _StrategyOption = None,
    signals: _SignalsOption = "together,following,titles",
    k: _KOption = 20,
    name: NameOption = None,
    preset: _PresetOption = None,
    quantize: _QuantizeOption = None,
    negatives: _NegativesOption = None,
    loss: _LossOption = None,
    max_examples: _MaxExamplesOption = None,
    config: ConfigOption = None,
    seed: SeedOption = None,
    max_minutes: _MaxMinutesOption = None,
    tensorboard: _TensorBoardOption = None,
    replace: ReplaceOption = False,
    no_auto: NoAutoOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a ranker, the second stage.

    A ranker orders what the first stage retrieves.

    The final score is a conditional logit over signals, fitted on validation users: the scores of the first stage's
    retrievers, item co-occurrence, similarity of titles and, if asked for, a language model. The group of signals that
    ranks has the highest cross-validated log-likelihood of the true item; of those near it, the cheapest ranks.

    The configuration file has a table [ranker] for the training of the language model; the other tables apply to the
    retriever if it is trained first.

    On several GPUs: accelerate launch --multi_gpu -m llamarec_cli train ranker, with the same options.
    """
    from llamarec_cli.pipeline.train.ranker import train
    from llamarec_cli.pipeline.train.ranker_plan import RankerRequest
    from llamarec_cli.strategies.worker_group import join_worker_group

    training = {
        "preset": preset,
        "quantize": quantize,
        "negatives": negatives,
        "loss": loss,
        "max-examples": max_examples,
        "max-minutes": max_minutes,
        "tensorboard": tensorboard,
    }
    strategy = _strategy_for(strategy, [option for option, value in training.items() if value is not None])
    settings = read_settings(config)
    settings.give("training", seed=seed)
    settings.give("ranker", seed=seed, negatives=negatives, loss=loss, max_examples=max_examples)
    request = RankerRequest(
        dataset,
        base=base,
        strategy=strategy,
        k=k,
        signals=[] if signals == "none" else signals.split(","),
        name=name,
        preset=preset,
        quantize=quantize,
        retriever=retriever,
        overrides=settings.tables,
        max_minutes=max_minutes,
        tensorboard=tensorboard,
        replace=replace,
    )
    with (
        join_worker_group() as workers,
        pipeline_context(auto=not no_auto, sources=settings.sources, speaks=workers.is_main) as context,
    ):
        artefact = train(context, request, workers)
    if artefact is not None:
        _show(artefact, as_json)


def _strategy_for(strategy: str | None, given: list[str]) -> str | None:
    """Return the strategy for the options given that concern training; they do not go with every strategy."""
    if not given:
        return strategy
    if strategy is None:
        if given[0] in ("max-examples", "max-minutes", "tensorboard"):
            # A limit does not look as if it asked for a training.
            console.say(f"--{given[0]} is about training a language model, so --strategy is {DEFAULT_STRATEGY}.")
        return DEFAULT_STRATEGY
    row = STRATEGIES.get(strategy)
    if strategy == NO_MODEL or (row is not None and row.presets is None):
        raise UsageError(
            f"--{given[0]} is about training by gradient descent, which --strategy {strategy} does not use.",
            "Leave it out.",
        )
    return strategy


def _show(artefact: Artefact, as_json: bool) -> None:
    from llamarec_cli.ranking.fusion import RETRIEVER, FusionGroups

    metrics = artefact.manifest.metrics
    if as_json:
        console.print_json({"name": artefact.manifest.name, **metrics})
        return
    groups = FusionGroups.from_json(metrics["fusion"])
    own = groups.fitted[RETRIEVER].ndcg
    columns = ["NDCG@10", "gain", "interval", "log-likelihood"]
    console.print_table(
        f"{heading(artefact)}; NDCG@10 of {groups.users:,} validation users whose item is in the pool",
        ["", *columns],
        [
            [
                f"{name} (ranks)" if name == groups.chosen else name,
                f"{one.ndcg:.4f}",
                console.percent(one.gain, own),
                f"± {console.percent(1.96 * one.error, own, '')}",
                likelihood(one.likelihood_gain, one.likelihood_error),
            ]
            for name, one in groups.fitted.items()
        ],
        numeric=columns,
    )
    if groups.eligible:
        console.print_lines(f"{groups.chosen} ranks: {groups.reason}.")
    else:
        console.warn("There are no signals beside the first stage's score, so its order ranks.")
