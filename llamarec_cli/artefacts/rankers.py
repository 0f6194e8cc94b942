"""Rankers in the store: what they are made of, how they are loaded, and how they score users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from llamarec_cli.artefacts.base_model import base_slug, check_base_model, need_base_model
from llamarec_cli.artefacts.contents import fill, reading
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import SplitResult, check_dataset, check_vocabulary
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import HeldOut, Sequences
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.names import Precision, Quantization
from llamarec_cli.progress import Progress
from llamarec_cli.ranking.examples import MAX_HISTORY, RankingExample
from llamarec_cli.ranking.fusion import FusionGroups, Read
from llamarec_cli.ranking.scorer import CandidateScorer, score_examples
from llamarec_cli.ranking.signals import Array, Signal, SignalSource
from llamarec_cli.retrieval.neighbours import CountsConfig, ItemCounts
from llamarec_cli.retrieval.scoring import Retriever
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.registry import PRIORS_FILE, ScorerSpec, open_scorer

# In the place of a strategy, for a ranker whose language model reads no candidates.
NO_MODEL = "signals"
# Items of the first stage that are ordered where no language model reads them all.
DEFAULT_POOL = 50

_COUNTS_FILE = "counts.safetensors"
# Fewer neighbours than a retriever of counts alone would keep: a ranker is to stay small, and only 20 items are asked.
_COUNTS = CountsConfig(neighbours=50)
# Users between two savings of the language model's scores, some minutes on a CPU.
_SAVE_EVERY = 100


def ranker_name(dataset: str, base: str = DEFAULT_BASE) -> str:
    """Return the name that a ranker of a data set has unless another is given."""
    return f"{dataset}/{base_slug(base)}"


@dataclass(frozen=True)
class TrainedRanker:
    """A ranker as loaded from the store.

    Attributes:
        source: Computes its signals; the language model is loaded when it is first asked.
        load_strategy: Loads the language model to be read in another way, instead of the fused score.
        groups: The fusions fitted, and which of them ranks.
        retriever: Name of the retriever it was fitted with.
        artefact: Where it came from.
    """

    source: SignalSource
    load_strategy: Callable[[str], CandidateScorer]
    groups: FusionGroups
    retriever: str
    artefact: Artefact


def load_ranker(context: Context, name: str, data: PreparedData, precision: Precision | None = None) -> TrainedRanker:
    """Load a ranker from the store.

    Args:
        context: Surroundings.
        name: Name of the ranker.
        data: The data set it was made for.
        precision: What its language model computes in; by default NF4 if its adapter was trained beside weights in
            that form, else what the device is best at.

    Raises:
        LlamaRecError: It is missing or damaged, or does not belong to this data or retriever.
    """
    artefact = open_ranker(context, name, data)
    config = artefact.manifest.config
    if precision is None:
        precision = trained_precision(config)

    def load(strategy: str) -> CandidateScorer:
        parents = artefact.manifest.parents
        base = need_base_model(context, config["base"], revision=parents[config["base"]])
        check_base_model(parents, base, name)
        return open_scorer(ScorerSpec(strategy, base.path, artefact.path, data.titles, precision))

    # A ranker of signals alone has trained nothing; asked all the same, its language model is read as it comes.
    own = "likelihood" if config["strategy"] == NO_MODEL else config["strategy"]
    counts = ItemCounts(data.item_count, CountsConfig(**config["counts"]))
    fill(counts, artefact, _COUNTS_FILE)
    source = SignalSource(counts, data.titles, lambda: load(own))
    with reading(artefact, "the fusion in its manifest"):
        groups = FusionGroups.from_json(artefact.manifest.metrics["fusion"])
    return TrainedRanker(source, load, groups, config["retriever"], artefact)


def trained_precision(config: Mapping[str, Any]) -> Precision | None:
    """Return NF4 for a ranker whose adapter was trained and selected in it; None for what the device is best at."""
    return Precision.NF4 if config.get("quantization") == Quantization.NF4 else None


def open_ranker(context: Context, name: str, data: PreparedData) -> Artefact:
    """Find a ranker in the store, and check that it belongs to the data and to the retriever that the store holds.

    Raises:
        LlamaRecError: It is missing or damaged, was made by an older version, or does not belong to them.
    """
    artefact = context.store.open(name, Kind.RANKER)
    if "pool" not in artefact.manifest.config:
        raise LlamaRecError(
            f"{name} was made by an older version of llamarec.",
            f"llamarec train ranker --dataset {artefact.manifest.config['dataset']} --name {name} --replace",
        )
    check_vocabulary(artefact, data)
    check_dataset(context, artefact)
    _check_parent(artefact, context.store.open(artefact.manifest.config["retriever"], Kind.RETRIEVER))
    return artefact


def save_priors(priors: npt.NDArray[np.float64], folder: Path) -> None:
    """Write the priors of a catalogue's titles into a ranker's folder."""
    save_arrays({"priors": priors}, folder / PRIORS_FILE)


def count_items(sequences: Sequences, item_count: int) -> ItemCounts:
    """Return the item counts of training sequences, as rankers keep them."""
    counts = ItemCounts(item_count, _COUNTS)
    counts.count(sequences)
    return counts


def save_counts(counts: ItemCounts, folder: Path) -> dict[str, Any]:
    """Write item counts into a ranker's folder, and return what the manifest's `counts` must hold."""
    save_file(counts.state_dict(), folder / _COUNTS_FILE)
    return asdict(counts.config)


def retrieved_examples(cases: HeldOut, result: SplitResult, k: int | None = None) -> list[RankingExample]:
    """Return, for each user whose item was retrieved, history, candidates in the retriever's order, and the answer.

    Args:
        cases: Histories and true items.
        result: What was retrieved.
        k: Only the first so many candidates count; all by default.
    """
    examples: list[RankingExample] = []
    for user in result.retrieved if k is None else np.flatnonzero(result.ranks_S <= k):
        candidates = result.candidates.items_SK[user, :k]
        candidates = candidates[candidates > 0]
        answer = int(np.flatnonzero(candidates == cases.targets_S[user])[0])
        examples.append(RankingExample(cases.histories[int(user)][-MAX_HISTORY:], candidates, answer))
    return examples


def first_stage_signals(model: Retriever) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a first stage's signals, and which of them come from a language model's reading."""
    if model.parts:
        return model.parts, model.reading_parts
    return (Signal.RETRIEVER,), (Signal.RETRIEVER,) if model.reads_language_model else ()


def candidate_reader(
    context: Context,
    source: SignalSource,
    examples: Sequence[RankingExample],
    *,
    stage: str,
    states: TrainingStates,
) -> Read:
    """Return what asks a language model for some users' candidates, saving its scores now and then.

    A thousand users take a CPU a quarter of an hour and more; an interrupted run goes on from the last saving.

    Args:
        context: Surroundings.
        source: Has the language model.
        examples: Histories and pools; S users.
        stage: Name of the progress bar.
        states: Where the scores so far are kept; to be cleared once the result is in the store.
    """

    def read(places_SK: npt.NDArray[np.int64]) -> Array:
        scores_SK = np.full(places_SK.shape, -np.inf)
        done = 0
        if saved := states.load():
            tensors, numbers = saved
            scores_SK, done = tensors["scores"].numpy(), numbers["done"]
        if done < len(examples):
            source.scorer.keep_nothing()
        while done < len(examples):
            until = min(done + _SAVE_EVERY, len(examples))

            def report(progress: Progress, done: int = done) -> None:
                context.report(Progress(stage, done + progress.done, len(examples)))

            some = [of_places(examples[user], places_SK[user]) for user in range(done, until)]
            scores_SK[done:until] = score_examples(source.scorer, some, places_SK.shape[1], stage, report)
            done = until
            states.save({"scores": torch.from_numpy(scores_SK)}, {"done": done})
        return scores_SK

    return read


def of_places(example: RankingExample, places_K: npt.NDArray[np.int64]) -> RankingExample:
    """Return an example with some of its candidates alone, in the order given; those that do not exist are left out.

    The answer is not carried over: what reads candidates does not look at it.
    """
    existing = places_K[places_K < len(example.candidates)]
    return RankingExample(example.history, example.candidates[existing], 0)


def _check_parent(child: Artefact, parent: Artefact) -> None:
    if child.manifest.parents[parent.manifest.name] != parent.manifest.digest:
        name, dataset = child.manifest.name, child.manifest.config["dataset"]
        raise LlamaRecError(
            f"{name} was trained with another {parent.manifest.name} than the store holds now.",
            f"llamarec train ranker --dataset {dataset} --name {name} --strategy {child.manifest.config['strategy']} "
            "--replace",
        )
