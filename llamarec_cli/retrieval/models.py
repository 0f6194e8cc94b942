"""The retrievers by name.

A further one is a file with its configuration and its class, and a row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from llamarec_cli.errors import LlamaRecError, UnknownNameError
from llamarec_cli.retrieval.bert4rec import BERT4Rec, BERT4RecConfig
from llamarec_cli.retrieval.ensemble import Ensemble, EnsembleConfig
from llamarec_cli.retrieval.lrurec import LRURec, LRURecConfig
from llamarec_cli.retrieval.narm import NARM, NARMConfig
from llamarec_cli.retrieval.popularity import Popularity, PopularityConfig
from llamarec_cli.retrieval.sasrec import SASRec, SASRecConfig
from llamarec_cli.retrieval.scoring import Retriever, SequenceModel
from llamarec_cli.retrieval.textrec import TextRec, TextRecConfig


@dataclass(frozen=True)
class RetrieverRow:
    """One retriever.

    Attributes:
        name: On the command line, in the store and as table of a configuration file.
        model: Its class; made from the number of items and a configuration.
        config: Class of its configuration.
        blends: Whether it is made over other retrievers, which its configuration names as `retrievers` and its class
            takes as a third argument.
        reads_titles: Whether its class takes raw vectors of the items' titles as a third argument, to be trained on.
    """

    name: str
    model: type[Retriever]
    config: Any
    blends: bool = False
    reads_titles: bool = False

    @property
    def is_neural(self) -> bool:
        """Whether it is trained by gradient."""
        return issubclass(self.model, SequenceModel)


RETRIEVERS: Mapping[str, RetrieverRow] = {
    row.name: row
    for row in (
        RetrieverRow("lrurec", LRURec, LRURecConfig),
        RetrieverRow("sasrec", SASRec, SASRecConfig),
        RetrieverRow("bert4rec", BERT4Rec, BERT4RecConfig),
        RetrieverRow("narm", NARM, NARMConfig),
        RetrieverRow("textrec", TextRec, TextRecConfig, reads_titles=True),
        RetrieverRow("popularity", Popularity, PopularityConfig),
        RetrieverRow("ensemble", Ensemble, EnsembleConfig, blends=True),
    )
}


def retriever_row(name: str) -> RetrieverRow:
    """Look a retriever up by name.

    Raises:
        UnknownNameError: No such name.
    """
    try:
        return RETRIEVERS[name]
    except KeyError:
        raise UnknownNameError(name, "retriever", RETRIEVERS) from None


def describe(model: Any) -> dict[str, Any]:
    """Return what `build` needs to make a retriever of the same architecture: a table of the row's name."""
    row = next(row for row in RETRIEVERS.values() if row.model is type(model))
    table: dict[str, Any] = {row.name: asdict(model.config)}
    if row.blends:
        table["blended"] = [describe(member) for member in model.members]
    return table


def build(tables: Mapping[str, Any], item_count: int) -> Retriever:
    """Make a retriever without its weights.

    Args:
        tables: What `describe` returned; other keys are passed over.
        item_count: Number of items, without the padding.
    """
    row = next(row for row in RETRIEVERS.values() if row.name in tables)
    parts = [[build(member, item_count) for member in tables["blended"]]] if row.blends else []
    make: Any = row.model
    try:
        config = row.config(**tables[row.name])
    except TypeError as error:
        raise LlamaRecError(
            f"This {row.name} was made by another version of llamarec.", "Train it again with --replace."
        ) from error
    result: Retriever = make(item_count, config, *parts)
    return result
