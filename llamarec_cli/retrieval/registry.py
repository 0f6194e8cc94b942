"""The retrievers by name.

To add one, write a file with its configuration and its class, and a row here. Help, completion, configuration files
and all commands read the rows. Importing this module is cheap: a model's file, and torch with it, is imported when
the row's classes are first used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from llamarec_cli.errors import LlamaRecError, UnknownNameError

if TYPE_CHECKING:
    from llamarec_cli.retrieval.scoring import Retriever


@dataclass(frozen=True)
class RetrieverClasses:
    """The two classes of a retriever.

    Attributes:
        model: A `SequenceModel` if the row is neural, else a `FittedRetriever`. Made from the number of items, a
            configuration, and a third argument if the row `blends` or `reads_titles`.
        config: A dataclass whose fields all have defaults.
    """

    model: Any
    config: Any


@dataclass(frozen=True)
class TunedRecipe:
    """Best values found on validation; every other field keeps its default.

    Attributes:
        model: Fields of the retriever's configuration.
        training: Fields of `TrainingConfig`.
        batch_scale: Factor on the data set's batch size.
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    batch_scale: int = 1


@dataclass(frozen=True)
class RetrieverRow:
    """One retriever.

    Attributes:
        name: On the command line, in the store, and as a table of a configuration file.
        load: Imports and returns its classes.
        is_neural: Whether it is trained by gradient descent. Only such a retriever can be benchmarked and blended.
        blends: Whether it combines other retrievers: its configuration lists them as `retrievers`, and its class takes
            the trained models as third argument.
        reads_titles: Whether it is trained on raw vectors of the items' titles, which its class takes as third
            argument. Its configuration has the fields `features`, `depths` and `title_tokens` of `TextRecConfig`.
        tuned: What the preset `tuned` changes for this retriever.
        member_minutes: Limit of its training time when it is trained as a member of a blend. The retrievers below have
            all but converged by then.
    """

    name: str
    load: Callable[[], RetrieverClasses]
    is_neural: bool = False
    blends: bool = False
    reads_titles: bool = False
    tuned: TunedRecipe = field(default_factory=TunedRecipe)
    member_minutes: float = 30

    @property
    def model(self) -> Any:
        """Class of the model."""
        return self.load().model

    @property
    def config(self) -> Any:
        """Class of its configuration."""
        return self.load().config


def _lrurec() -> RetrieverClasses:
    from llamarec_cli.retrieval.lrurec import LRURec, LRURecConfig

    return RetrieverClasses(LRURec, LRURecConfig)


def _sasrec() -> RetrieverClasses:
    from llamarec_cli.retrieval.sasrec import SASRec, SASRecConfig

    return RetrieverClasses(SASRec, SASRecConfig)


def _bert4rec() -> RetrieverClasses:
    from llamarec_cli.retrieval.bert4rec import BERT4Rec, BERT4RecConfig

    return RetrieverClasses(BERT4Rec, BERT4RecConfig)


def _narm() -> RetrieverClasses:
    from llamarec_cli.retrieval.narm import NARM, NARMConfig

    return RetrieverClasses(NARM, NARMConfig)


def _textrec() -> RetrieverClasses:
    from llamarec_cli.retrieval.textrec import TextRec, TextRecConfig

    return RetrieverClasses(TextRec, TextRecConfig)


def _popularity() -> RetrieverClasses:
    from llamarec_cli.retrieval.popularity import Popularity, PopularityConfig

    return RetrieverClasses(Popularity, PopularityConfig)


def _ensemble() -> RetrieverClasses:
    from llamarec_cli.retrieval.ensemble import Ensemble, EnsembleConfig

    return RetrieverClasses(Ensemble, EnsembleConfig)


# The map from titles to item vectors costs the same for any batch size, so TextRec takes larger batches.
_TUNED_TEXTREC = TunedRecipe(
    {"dropout": 0.3}, {"learning_rate": 3e-3, "validate_every": 250, "patience": 4}, batch_scale=2
)

RETRIEVERS: dict[str, RetrieverRow] = {
    row.name: row
    for row in (
        RetrieverRow("lrurec", _lrurec, is_neural=True, tuned=TunedRecipe({"dropout": 0.5}), member_minutes=15),
        RetrieverRow("sasrec", _sasrec, is_neural=True, tuned=TunedRecipe({"dropout": 0.5}), member_minutes=20),
        RetrieverRow("bert4rec", _bert4rec, is_neural=True, tuned=TunedRecipe({"dropout": 0.3})),
        RetrieverRow("narm", _narm, is_neural=True, tuned=TunedRecipe({"dropout": 0.5})),
        RetrieverRow("textrec", _textrec, is_neural=True, reads_titles=True, tuned=_TUNED_TEXTREC, member_minutes=35),
        RetrieverRow("popularity", _popularity),
        RetrieverRow("ensemble", _ensemble, blends=True),
    )
}


def neural_retrievers() -> list[str]:
    """Return the names of the retrievers that are trained by gradient descent."""
    return [row.name for row in RETRIEVERS.values() if row.is_neural]


def retriever_row(name: str) -> RetrieverRow:
    """Look a retriever up by name.

    Raises:
        UnknownNameError: No such name.
    """
    try:
        return RETRIEVERS[name]
    except KeyError:
        raise UnknownNameError(name, "retriever", RETRIEVERS) from None


def described_row(tables: Mapping[str, Any]) -> RetrieverRow:
    """Return the row of a retriever from its description.

    Args:
        tables: A manifest's configuration, or what `describe` returned.
    """
    return next(row for row in RETRIEVERS.values() if row.name in tables)


def describe(model: Any) -> dict[str, Any]:
    """Return a table of the row's name that holds the model's configuration; `build` makes the model from it."""
    row = next(row for row in RETRIEVERS.values() if row.model is type(model))
    table: dict[str, Any] = {row.name: asdict(model.config)}
    if row.blends:
        table["blended"] = [describe(member) for member in model.members]
    return table


def build(tables: Mapping[str, Any], item_count: int) -> Retriever:
    """Make a retriever without its weights.

    Args:
        tables: What `describe` returned; other keys are ignored.
        item_count: Number of items, without the padding.

    Raises:
        LlamaRecError: The configuration has other fields than this version's.
    """
    row = described_row(tables)
    members = [[build(member, item_count) for member in tables["blended"]]] if row.blends else []
    try:
        config = row.config(**tables[row.name])
    except TypeError as error:
        raise LlamaRecError(
            f"This {row.name} was made by another version of llamarec.", "Train it again with `replace`."
        ) from error
    result: Retriever = row.model(item_count, config, *members)
    return result
