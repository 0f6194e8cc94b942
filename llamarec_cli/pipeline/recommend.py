"""`recommend`: a history in, a ranked list out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llamarec_cli.data.catalogue import catalogue_row
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Sequences
from llamarec_cli.data.titles import Match, TitleIndex
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.pipeline.context import Context
from llamarec_cli.pipeline.prepare import need_dataset
from llamarec_cli.pipeline.rankers import TrainedRanker, load_ranker, ranker_name
from llamarec_cli.pipeline.retrievers import TrainedRetriever, load_retriever
from llamarec_cli.pipeline.starter import STARTER_DATASET, install_starter, is_starter
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.fusion import Fusion
from llamarec_cli.ranking.prompt import MAX_CANDIDATES, MAX_HISTORY
from llamarec_cli.retrieval.candidates import retrieve
from llamarec_cli.store.manifest import Kind

DEFAULT_TOP = 10


@dataclass(frozen=True)
class Recommendation:
    """One line of the list.

    Attributes:
        item_id: Raw id of the item.
        title: Its title.
        probability: Over the K candidates; those of all K sum to 1.
    """

    item_id: str
    title: str
    probability: float


@dataclass(frozen=True)
class Recommendations:
    """A ranked list, and what it was made from.

    Attributes:
        dataset: Name of the data set.
        ranker: Name of the ranker's checkpoint.
        history: Titles that were found, oldest first.
        unknown: Entries of the history that were not.
        items: Best first.
    """

    dataset: str
    ranker: str
    history: list[str]
    unknown: list[str]
    items: list[Recommendation]


def recommend(
    context: Context,
    history: Sequence[str],
    *,
    dataset: str | None = None,
    ranker: str | None = None,
    top: int | None = None,
    k: int | None = None,
    fusion: bool = True,
) -> Recommendations:
    """Recommend for one history.

    Args:
        context: Surroundings.
        history: Titles or raw ids, oldest first.
        dataset: Name of the data set; the starter's by default.
        ranker: Name of the ranker; `DATASET/smollm2-135m` by default.
        top: Length of the list; 10 by default, or `k` where that is less.
        k: Candidates that are ranked; as many as the ranker was made for by default.
        fusion: Whether the fitted final score decides; else the language model alone.

    Raises:
        LlamaRecError: No entry of the history is known, or there is no ranker.
        UsageError: `top` or `k` is out of range.
    """
    if k is not None and not 1 <= k <= MAX_CANDIDATES:
        raise UsageError(f"--k must be between 1 and {MAX_CANDIDATES}, not {k}.", "llamarec recommend --help")
    dataset = dataset or STARTER_DATASET
    data, retriever, trained = load_both_stages(context, dataset, ranker or ranker_name(dataset))
    k = k or trained.artefact.manifest.config["k"]
    top = min(DEFAULT_TOP, k) if top is None else top
    if not 1 <= top <= k:
        raise UsageError(
            f"--top must be between 1 and the number of candidates, {k}, not {top}.", "llamarec recommend --help"
        )
    index = TitleIndex(data.titles, data.item_ids, data.popularity().tolist())
    matches = [_find(context, index, entry) for entry in history]
    items = np.array([match.item for match in matches if match.item is not None], dtype=np.int32)
    if not len(items):
        near = matches[0].alternatives
        raise LlamaRecError(
            f"{dataset} knows none of the {len(matches)} titles in this history.",
            f"The nearest to {matches[0].given!r} is {near[0]!r}." if near else "Is it a history of another data set?",
        )
    candidates = retrieve(retriever.model, Sequences(items, np.array([0, len(items)])), k)
    pool = candidates.items_SK[0][candidates.items_SK[0] > 0]
    if not len(pool):
        raise LlamaRecError(
            f"The history holds every item of {dataset}, so nothing is left to recommend.", "Shorten it."
        )
    final = trained.groups.fitted[trained.groups.chosen].fusion if fusion else Fusion({trained.source.model: 1.0})
    if trained.source.model not in final.coefficients:
        context.say(
            f"{trained.artefact.manifest.name} ranks without its language model, which gained nothing on validation; "
            "--no-fusion asks it alone."
        )
    retriever_1K = candidates.log_probabilities()[:, : len(pool)]
    example = RankingExample(items[-MAX_HISTORY:], pool, 0)
    signals = trained.source.compute([example], retriever_1K, list(final.coefficients))
    scores = final.log_probabilities(signals, np.ones(retriever_1K.shape, dtype=np.bool_))[0]
    # Candidates come in the retriever's order, which a stable sort keeps among equals.
    order = np.argsort(-scores, kind="stable")[:top]
    return Recommendations(
        dataset=dataset,
        ranker=trained.artefact.manifest.name,
        history=[data.titles[item] for item in items],
        unknown=[match.given for match in matches if match.item is None],
        items=[
            Recommendation(data.item_ids[pool[place]], data.titles[pool[place]], float(np.exp(scores[place])))
            for place in order
        ],
    )


def load_both_stages(
    context: Context, dataset: str, ranker: str
) -> tuple[PreparedData, TrainedRetriever, TrainedRanker]:
    """Load what a ranker needs, preparing the data set and installing the starter where they are missing.

    Raises:
        LlamaRecError: There is no such ranker.
    """
    starter = is_starter(ranker) and ranker not in context.store
    if not starter and ranker not in context.store:
        if dataset not in context.store:
            catalogue_row(dataset)  # raises if it is no data set at all
        if ranker != ranker_name(dataset):
            context.store.open(ranker, Kind.RANKER)  # raises, naming the nearest
        raise LlamaRecError(
            f"There is no ranker {ranker} yet, and training one takes long.",
            f"llamarec train ranker --dataset {dataset} --max-minutes 30",
        )
    data, _ = need_dataset(context, dataset)
    if starter:
        install_starter(context, data)
    trained = load_ranker(context, ranker, data)
    return data, load_retriever(context, trained.retriever, data), trained


def _find(context: Context, index: TitleIndex, entry: str) -> Match:
    match = index.find(entry)
    if match.item is None:
        near = f"; the nearest: {', '.join(match.alternatives)}" if match.alternatives else ""
        context.warn(f"{entry!r} is not known and is left out{near}.")
    elif match.alternatives:
        context.warn(
            f"{entry!r} is taken as {index.titles[match.item]}, the most popular of {len(match.alternatives) + 1} "
            f"that fit (also {', '.join(match.alternatives[:3])})."
        )
    return match
