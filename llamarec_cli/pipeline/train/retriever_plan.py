"""What is decided before a retriever is made: which one, its configuration, its data, and its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from llamarec_cli.artefacts.base_model import BaseModel, need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import retriever_name
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.config import resolve_config
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.errors import LlamaRecError, UnknownNameError
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.pipeline.prepare import need_dataset, warn_of_difference
from llamarec_cli.retrieval.item_texts import Source
from llamarec_cli.retrieval.models import RetrieverRow, retriever_row
from llamarec_cli.retrieval.presets import Preset, architecture_preset, training_preset
from llamarec_cli.retrieval.textrec import Features
from llamarec_cli.retrieval.training import TrainingConfig
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Artefact

Overrides = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before a retriever is made.

    Attributes:
        dataset: Name of the data set.
        name: Name of the checkpoint.
        row: Which retriever.
        model_config: Its configuration.
        training: How it is trained, if it is neural.
        data: The data set.
        parent: Where the data set came from.
        base: The language model that reads the items' titles, if one does.
    """

    dataset: str
    name: str
    row: RetrieverRow
    model_config: Any
    training: TrainingConfig
    data: PreparedData
    parent: Artefact
    base: BaseModel | None = None

    def states(self, context: Context) -> TrainingStates:
        """Return where the state of this training is kept."""
        tables = {self.row.name: asdict(self.model_config), "training": asdict(self.training)}
        base = {} if self.base is None else {"base": self.base.digest}
        return TrainingStates(context, self.name, {**tables, "parent": self.parent.manifest.digest, **base})


def default_name(dataset: str, row: RetrieverRow, overrides: Overrides) -> str:
    """Return the name of a checkpoint that is given none: `DATASET/MODEL`, of a control `DATASET/MODEL-FEATURES`."""
    features = features_told(overrides)
    suffix = f"-{features}" if row.reads_titles and features is not Features.LANGUAGE_MODEL else ""
    return retriever_name(dataset, row.name + suffix)


def features_told(overrides: Overrides) -> Features:
    """Return what TextRec is told to read."""
    told = overrides.get("textrec", {}).get("features", Features.LANGUAGE_MODEL)
    if told not in list(Features):
        raise UnknownNameError(str(told), "kind of features", Features)
    return Features(told)


def make_plan(
    context: Context,
    dataset: str,
    *,
    model: str,
    name: str,
    preset: Preset,
    base: str = DEFAULT_BASE,
    overrides: Overrides,
    replace: bool,
) -> Plan:
    """Decide everything and refuse what cannot work, before any work; arguments as `train_retriever.train`."""
    row = retriever_row(model)
    context.store.refuse_taken(name, Kind.RETRIEVER, replace=replace)
    model_config = resolve_config(architecture_preset(dataset, row, preset), overrides.get(row.name, {}))
    training = resolve_config(training_preset(dataset, row, preset), overrides.get("training", {}))
    data, parent = need_dataset(context, dataset)
    warn_of_difference(context, dataset, data)
    if not len(held_out(data, Split.VALIDATION)):
        raise LlamaRecError(
            f"No user of {dataset} has three interactions, so nothing can be held out.",
            "Use a data set with longer sequences.",
        )
    reader: BaseModel | None = None
    if row.reads_titles and Source.LANGUAGE_MODEL in Features(model_config.features).sources:
        reader = need_base_model(context, base)
    return Plan(dataset, name, row, model_config, training, data, parent, reader)
