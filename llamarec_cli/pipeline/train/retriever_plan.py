"""Planning the training of a retriever: configuration, data and name are checked before any work starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from llamarec_cli.artefacts.base_model import BaseModel, need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import DEFAULT_RETRIEVER, retriever_name
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.config import resolve_config
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.errors import LlamaRecError, UnknownNameError
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.pipeline.prepare import need_dataset, warn_of_difference
from llamarec_cli.retrieval.features import Features, Source
from llamarec_cli.retrieval.presets import Preset, architecture_preset, training_preset
from llamarec_cli.retrieval.registry import RETRIEVERS, RetrieverRow, retriever_row
from llamarec_cli.retrieval.trainer import Recipe
from llamarec_cli.retrieval.training_config import TrainingConfig
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact

Overrides = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class RetrieverRequest:
    """What the caller asks for.

    Attributes:
        dataset: Name of a prepared data set, or of one in the catalogue.
        model: A name of `RETRIEVERS`.
        name: Name of the checkpoint; by default `DATASET/MODEL`, and `DATASET/MODEL-FEATURES` for a model of titles
            with other features than the language model's.
        preset: The recipe that `overrides` are applied to.
        base: Language model that reads the titles, for a retriever of titles: a known name, a folder, or a repository
            on the Hugging Face Hub.
        overrides: Values that replace the preset's, by table and key: the table of the model's name for its
            architecture, `training` for its training.
        max_minutes: Limit of the training time.
        replace: Whether an existing checkpoint of that name may be replaced.
    """

    dataset: str
    model: str = DEFAULT_RETRIEVER
    name: str | None = None
    preset: Preset = Preset.TUNED
    base: str = DEFAULT_BASE
    overrides: Overrides = field(default_factory=dict)
    max_minutes: float | None = None
    replace: bool = False

    @property
    def row(self) -> RetrieverRow:
        """The retriever.

        Raises:
            UnknownNameError: There is no such retriever.
        """
        return retriever_row(self.model)

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint.

        Raises:
            UnknownNameError: There is no such retriever, or no such kind of features.
        """
        if self.name:
            return self.name
        control = self.row.reads_titles and self.features(self.row) is not Features.LANGUAGE_MODEL
        suffix = f"-{self.features(self.row)}" if control else ""
        return retriever_name(self.dataset, self.model + suffix)

    def features(self, row: RetrieverRow) -> Features:
        """Return the features that a retriever of titles computes its item vectors from.

        Raises:
            UnknownNameError: There is no such kind of features.
        """
        given = self.overrides.get(row.name, {}).get("features", Features.LANGUAGE_MODEL)
        if given not in list(Features):
            raise UnknownNameError(str(given), "kind of features", Features)
        return Features(given)

    def reads_language_model(self, model: str) -> bool:
        """Return whether a retriever is trained on what a language model makes of the titles.

        Args:
            model: A name of `RETRIEVERS`.
        """
        row = RETRIEVERS[model]
        return row.reads_titles and Source.LANGUAGE_MODEL in self.features(row).sources


@dataclass(frozen=True)
class Plan:
    """A training with everything settled.

    Attributes:
        dataset: Name of the data set.
        name: Name of the checkpoint.
        row: The retriever.
        model_config: Configuration of its architecture.
        training: Hyper-parameters, if it is neural.
        data: The data set.
        parent: The data set's artefact.
        base: The language model that reads the items' titles, if any.
    """

    dataset: str
    name: str
    row: RetrieverRow
    model_config: Any
    training: TrainingConfig
    data: PreparedData
    parent: Artefact
    base: BaseModel | None = None

    @property
    def recipe(self) -> Recipe:
        """What is trained, and how."""
        return Recipe(self.row, self.model_config, self.training)

    def states(self, context: Context) -> TrainingStates:
        """Return where the state of this training is kept."""
        tables = {self.row.name: asdict(self.model_config), "training": asdict(self.training)}
        base = {} if self.base is None else {"base": self.base.digest}
        return TrainingStates(context, self.name, {**tables, "parent": self.parent.manifest.digest, **base})


def make_plan(context: Context, request: RetrieverRequest) -> Plan:
    """Settle configuration, data and base model.

    Raises:
        LlamaRecError: The name is taken, the data set cannot be had or is too small, or the base model cannot be had.
        UsageError: The configuration is wrong.
    """
    dataset, row = request.dataset, request.row
    context.store.refuse_taken(request.checkpoint, Kind.RETRIEVER, replace=request.replace)
    architecture = architecture_preset(dataset, row, request.preset)
    model_config = resolve_config(architecture, request.overrides.get(row.name, {}))
    training = resolve_config(training_preset(dataset, row, request.preset), request.overrides.get("training", {}))
    data, parent = need_dataset(context, dataset)
    warn_of_difference(context, dataset, data)
    if not len(held_out(data, Split.VALIDATION)):
        raise LlamaRecError(
            f"No user of {dataset} has three interactions, so nothing can be held out.",
            "Use a data set with longer sequences.",
        )
    base = need_base_model(context, request.base) if request.reads_language_model(row.name) else None
    return Plan(dataset, request.checkpoint, row, model_config, training, data, parent, base)
