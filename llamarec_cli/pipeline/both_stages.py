"""Loading both stages of a data set from the store."""

from __future__ import annotations

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import TrainedRanker, load_ranker, ranker_name
from llamarec_cli.artefacts.retrievers import TrainedRetriever, load_retriever
from llamarec_cli.data.catalogue import catalogue_row
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.errors import LlamaRecError, command
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.prepare import need_dataset
from llamarec_cli.pipeline.starter import install_starter, is_starter
from llamarec_cli.store.manifest import Kind


def load_both_stages(
    context: Context, dataset: str, ranker: str, precision: Precision | None = None
) -> tuple[PreparedData, TrainedRetriever, TrainedRanker]:
    """Load a ranker with its retriever and data set, preparing the data set or installing the starter if missing.

    Args:
        context: Store and callbacks.
        dataset: Name of the data set.
        ranker: Name of the ranker.
        precision: Precision of the language model; None for the ranker's default.

    Raises:
        LlamaRecError: There is no such ranker.
    """
    starter = is_starter(ranker) and ranker not in context.store
    if not starter and ranker not in context.store:
        if dataset not in context.store:
            catalogue_row(dataset, context.store.names(Kind.DATASET))  # raises for an unknown data set
        if ranker != ranker_name(dataset):
            context.store.open(ranker, Kind.RANKER)  # raises, suggesting the nearest name
        raise LlamaRecError(
            f"There is no ranker {ranker} yet, and training one takes long.",
            command("train ranker", dataset=dataset),
        )
    data, _ = need_dataset(context, dataset)
    if starter:
        install_starter(context, data)
    trained = load_ranker(context, ranker, data, precision)
    return data, load_retriever(context, trained.retriever, data), trained
