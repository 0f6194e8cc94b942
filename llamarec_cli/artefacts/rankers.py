"""Rankers in the store: saving, loading, and scoring users with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from llamarec_cli.artefacts.base_model import base_slug, check_base_model, need_base_model
from llamarec_cli.artefacts.contents import fill, reading
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import SplitResult, check_dataset, check_vocabulary
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import HeldOut, Sequences
from llamarec_cli.errors import LlamaRecError, command
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.names import Precision, Quantization
from llamarec_cli.progress import Progress, Reporter
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.fusion import FusionGroups, Read
from llamarec_cli.ranking.scorer import CandidateScorer, score_examples
from llamarec_cli.ranking.signals import Array, Signal, SignalSource
from llamarec_cli.retrieval.neighbours import CountsConfig, ItemCounts
from llamarec_cli.retrieval.scoring import Retriever
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.registry import NO_MODEL, UNTRAINED_STRATEGY, ScorerSpec, open_scorer

# Default number of items retrieved for the fusion.
DEFAULT_POOL = 50

_COUNTS_FILE = "counts.safetensors"
# Fewer neighbours than a retriever of counts alone keeps: rankers stay small, and only 20 items are looked up.
_COUNTS = CountsConfig(neighbours=50)
# Users between two saves of the language model's scores, some minutes on a CPU.
_SAVE_EVERY = 100


# Maps examples, the width K of the scores, the users of a chunk and a progress callback to S x K scores for each chunk.
ScoreChunks = Callable[[Sequence[RankingExample], int, int, Reporter], Iterator[Array]]


def ranker_name(dataset: str, base: str = DEFAULT_BASE) -> str:
    """Return the default name of a ranker of a data set."""
    return f"{dataset}/{base_slug(base)}"


@dataclass(frozen=True)
class TrainedRanker:
    """A ranker loaded from the store.

    Attributes:
        source: Computes its signals; the language model is loaded at its first use.
        strategy: Strategy of its language model; for a ranker without one, the strategy that needs no training.
        spec: Returns the recipe of the scorer of a strategy; fetches the base model if it is missing.
        groups: The fitted fusions, and which of them ranks.
        retriever: Name of the retriever it was fitted with.
        artefact: Its checkpoint.
    """

    source: SignalSource
    strategy: str
    spec: Callable[[str], ScorerSpec]
    groups: FusionGroups
    retriever: str
    artefact: Artefact

    def load_strategy(self, strategy: str) -> CandidateScorer:
        """Load the language model with the scorer of a strategy, for ranking without the fusion."""
        return open_scorer(self.spec(strategy))


def load_ranker(context: Context, name: str, data: PreparedData, precision: Precision | None = None) -> TrainedRanker:
    """Load a ranker from the store.

    Args:
        context: Store and reporting callbacks.
        name: Name of the ranker.
        data: Its data set.
        precision: Data type of its language model; by default NF4 if its adapter was trained with NF4 weights, else the
            device's default.

    Raises:
        LlamaRecError: It is missing or damaged, or belongs to another version of the data set or the retriever.
    """
    artefact = open_ranker(context, name, data)
    config = artefact.manifest.config
    if precision is None:
        precision = trained_precision(config)

    def spec(strategy: str) -> ScorerSpec:
        parents = artefact.manifest.parents
        base = need_base_model(context, config["base"], revision=parents.get(config["base"]))
        check_base_model(parents, base, name)
        return ScorerSpec(strategy, base.path, artefact.path, data.titles, precision)

    own = UNTRAINED_STRATEGY if config["strategy"] == NO_MODEL else config["strategy"]
    counts = ItemCounts(data.item_count, CountsConfig(**config["counts"]))
    fill(counts, artefact, _COUNTS_FILE)
    source = SignalSource(counts, data.titles, lambda: open_scorer(spec(own)))
    with reading(artefact, "the fusion in its manifest"):
        groups = FusionGroups.from_json(artefact.manifest.metrics["fusion"])
    return TrainedRanker(source, own, spec, groups, config["retriever"], artefact)


def trained_precision(config: Mapping[str, Any]) -> Precision | None:
    """Return NF4 for a ranker whose adapter was trained and validated with NF4 weights; else None, the default."""
    return Precision.NF4 if config.get("quantization") == Quantization.NF4 else None


def open_ranker(context: Context, name: str, data: PreparedData) -> Artefact:
    """Open a ranker, and check that it was made from this data set and from the retriever in the store.

    Raises:
        LlamaRecError: It is missing or damaged, was made by an older version, or was made from others.
    """
    artefact = context.store.open(name, Kind.RANKER)
    if "pool" not in artefact.manifest.config:
        raise LlamaRecError(
            f"{name} was made by an older version of llamarec.",
            command("train ranker", dataset=artefact.manifest.config["dataset"], name=name, replace=True),
        )
    check_vocabulary(artefact, data)
    check_dataset(context, artefact)
    _check_parent(artefact, context.store.open(artefact.manifest.config["retriever"], Kind.RETRIEVER))
    return artefact


def count_items(sequences: Sequences, item_count: int) -> ItemCounts:
    """Return the item counts of training sequences, with the settings of rankers."""
    counts = ItemCounts(item_count, _COUNTS)
    counts.count(sequences)
    return counts


def save_counts(counts: ItemCounts, folder: Path) -> dict[str, Any]:
    """Write item counts into a ranker's folder, and return the value of `counts` for the manifest's configuration."""
    save_file(counts.state_dict(), folder / _COUNTS_FILE)
    return asdict(counts.config)


def retrieved_examples(cases: HeldOut, result: SplitResult, k: int | None = None) -> list[RankingExample]:
    """Return an example for each user whose item was retrieved, with candidates in the retriever's order.

    Args:
        cases: Histories and true items.
        result: Retrieved candidates of the same users.
        k: Number of candidates to keep; all by default.
    """
    examples: list[RankingExample] = []
    for user in result.retrieved if k is None else np.flatnonzero(result.ranks_S <= k):
        candidates = result.candidates.items_SK[user, :k]
        candidates = candidates[candidates > 0]
        answer = int(np.flatnonzero(candidates == cases.targets_S[user])[0])
        examples.append(RankingExample.of(cases.histories[int(user)], candidates, answer))
    return examples


def first_stage_signals(model: Retriever) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a first stage's signals, and of those to which a language model contributes."""
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
    score: ScoreChunks | None = None,
) -> Read:
    """Return a function that scores some users' candidates with the language model, and saves the scores regularly.

    A thousand users take a quarter of an hour or more on a CPU; an interrupted run resumes from the last save.

    Args:
        context: Store and reporting callbacks.
        source: Loads the language model.
        examples: Histories and pools of S users.
        stage: Name of the progress bar.
        states: Saved scores; the caller clears them once the result is in the store.
        score: Scores the examples chunk by chunk; by default in this process.
    """

    def read(places_SK: npt.NDArray[np.int64]) -> Array:
        scores_SK = np.full(places_SK.shape, -np.inf)
        done = 0
        if saved := states.load():
            tensors, numbers = saved
            scores_SK, done = tensors["scores"].numpy(), numbers["done"]

        def report(progress: Progress) -> None:
            context.report(Progress(stage, done + progress.done, len(examples)))

        rest = [of_places(examples[user], places_SK[user]) for user in range(done, len(examples))]
        if rest:
            for chunk_SK in (score or _score_here(source))(rest, places_SK.shape[1], _SAVE_EVERY, report):
                scores_SK[done : done + len(chunk_SK)] = chunk_SK
                done += len(chunk_SK)
                states.save({"scores": torch.from_numpy(scores_SK)}, {"done": done})
        return scores_SK

    return read


def _score_here(source: SignalSource) -> ScoreChunks:
    def score(examples: Sequence[RankingExample], k: int, chunk_size: int, report: Reporter) -> Iterator[Array]:
        # Scores must not depend on where an interrupted run resumes.
        source.scorer.disable_cache()
        for begin in range(0, len(examples), chunk_size):
            yield score_examples(source.scorer, examples[begin : begin + chunk_size], k, "rank", report)

    return score


def of_places(example: RankingExample, places_K: npt.NDArray[np.int64]) -> RankingExample:
    """Return an example with the candidates at some places, in the order given; places without one are left out.

    The answer is not carried over, since scorers do not use it.
    """
    existing = places_K[places_K < len(example.candidates)]
    return RankingExample.of(example.history, example.candidates[existing])


def _check_parent(child: Artefact, parent: Artefact) -> None:
    if child.manifest.parents[parent.manifest.name] != parent.manifest.digest:
        name, config = child.manifest.name, child.manifest.config
        raise LlamaRecError(
            f"{name} was trained with another {parent.manifest.name} than the store holds now.",
            command("train ranker", dataset=config["dataset"], name=name, strategy=config["strategy"], replace=True),
        )
