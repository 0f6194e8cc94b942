"""Both stages of a data set, loaded from the store."""

from __future__ import annotations

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import TrainedRanker, load_ranker, ranker_name
from llamarec_cli.artefacts.retrievers import TrainedRetriever, load_retriever
from llamarec_cli.data.catalogue import catalogue_row
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.prepare import need_dataset
from llamarec_cli.pipeline.starter import install_starter, is_starter
from llamarec_cli.store.manifest import Kind


def load_both_stages(
    context: Context, dataset: str, ranker: str, precision: Precision | None = None
) -> tuple[PreparedData, TrainedRetriever, TrainedRanker]:
    """Load what a ranker needs, preparing the data set and installing the starter where they are missing.

    Raises:
        LlamaRecError: There is no such ranker.
    """
    starter = is_starter(ranker) and ranker not in context.store
    if not starter and ranker not in context.store:
        if dataset not in context.store:
            catalogue_row(dataset, context.store.names(Kind.DATASET))  # raises if it is no data set at all
        if ranker != ranker_name(dataset):
            context.store.open(ranker, Kind.RANKER)  # raises, naming the nearest
        raise LlamaRecError(
            f"There is no ranker {ranker} yet, and training one takes long.",
            f"llamarec train ranker --dataset {dataset} --max-minutes 30",
        )
    data, _ = need_dataset(context, dataset)
    if starter:
        install_starter(context, data)
    trained = load_ranker(context, ranker, data, precision)
    return data, load_retriever(context, trained.retriever, data), trained
