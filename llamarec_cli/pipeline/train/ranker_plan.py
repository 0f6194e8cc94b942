"""Plan of `train ranker`: the request, its validation, and everything that is decided before training begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llamarec_cli.artefacts.base_model import BaseModel, need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import DEFAULT_POOL, ranker_name, retrieved_examples
from llamarec_cli.artefacts.retrievers import DEFAULT_FIRST_STAGE, SplitResult, TrainedRetriever, load_retriever
from llamarec_cli.config import resolve_config
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import HeldOut, Split, held_out
from llamarec_cli.devices import best_device
from llamarec_cli.errors import LlamaRecError, UnknownNameError, UsageError, command
from llamarec_cli.language_model.base_models import default_quantization
from llamarec_cli.language_model.catalogue import BASE_MODELS, DEFAULT_BASE
from llamarec_cli.names import Quantization, parse_quantization
from llamarec_cli.pipeline.prepare import need_dataset, warn_of_masked_items
from llamarec_cli.pipeline.train.retriever import need_retriever
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.pipeline.train.tensorboard import need_log_folder, need_tensorboard
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.signals import CHEAP, Signal
from llamarec_cli.retrieval.candidates import DEFAULT_K
from llamarec_cli.retrieval.registry import RETRIEVERS
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.prompt import MAX_CANDIDATES
from llamarec_cli.strategies.registry import (
    DEFAULT_STRATEGY,
    NO_MODEL,
    STRATEGIES,
    StrategyRow,
    fusable_strategies,
    strategy_row,
)

# Table of the configuration file with the hyper-parameters of the strategy.
TABLE = "ranker"


@dataclass(frozen=True)
class RankerRequest:
    """What the user asked for.

    Attributes:
        dataset: Name of a prepared data set, or of one in the catalogue.
        base: Base model: a known name, a folder, or a repository on the Hugging Face Hub.
        strategy: How the language model scores the candidates: a fusable strategy, or `signals` for no language model.
            By default `signals` on a CPU and `verbalizer` on CUDA.
        signals: Cheap signals that may have coefficients in the final score.
        k: Candidates scored by the language model.
        name: Name of the checkpoint; `DATASET/BASE` by default.
        preset: Preset of the strategy's hyper-parameters; by default `paper` on CUDA and `cpu` on a CPU.
        quantize: `nf4` or `none`; by default NF4 on CUDA and none on a CPU.
        retriever: Name of the retriever's checkpoint; `DATASET/ensemble` by default. A retriever named after its model,
            such as `DATASET/lrurec`, is trained first if it is missing.
        overrides: Values that replace those of the presets, by table and key: `ranker` for the strategy, the others for
            the retriever if it is trained.
        max_minutes: Time limit of the strategy's training.
        tensorboard: Folder for TensorBoard logs of the training; None for no logs.
        replace: Whether an existing checkpoint of that name may be replaced; retrievers that were trained on an earlier
            version of the data set are then trained again.
    """

    dataset: str
    base: str = DEFAULT_BASE
    strategy: str | None = None
    signals: Sequence[str] = CHEAP
    k: int = DEFAULT_K
    name: str | None = None
    preset: str | None = None
    quantize: str | None = None
    retriever: str | None = None
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    max_minutes: float | None = None
    tensorboard: Path | None = None
    replace: bool = False

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint."""
        return self.name or ranker_name(self.dataset, self.base)


@dataclass(frozen=True)
class RankerSettings:
    """A validated request, with its defaults filled in.

    Attributes:
        request: The request.
        row: Strategy of the language model; None for none.
        signals: Cheap signals that may have coefficients.
        preset: Name of the preset.
        hyperparameters: The preset with overrides; unused unless the strategy has hyper-parameters.
        quantization: Storage format of the base model's weights in training.
    """

    request: RankerRequest
    row: StrategyRow | None
    signals: tuple[Signal, ...]
    preset: str
    hyperparameters: Any
    quantization: Quantization

    @property
    def strategy(self) -> str | None:
        """Name of the strategy, which is that of the language model's signal."""
        return self.row.name if self.row else None

    @property
    def trains_by_gradient(self) -> bool:
        """Whether the strategy has hyper-parameters, validation users of its own, and uses all worker processes."""
        return self.row is not None and self.row.presets is not None


@dataclass(frozen=True)
class RankerPlan:
    """Everything that is known before training.

    Attributes:
        settings: The validated request.
        base: The base model; None for a ranker without a language model.
        data: The data set.
        dataset: Checkpoint of the data set.
        first_stage: The retriever.
        cases: Validation histories and true items.
        found: What the first stage retrieved for them.
        selection: Examples of the users for the selection of the best step of a training by gradient descent.
        fusing: Indices of the users on whom the fusion is fitted.
    """

    settings: RankerSettings
    base: BaseModel | None
    data: PreparedData
    dataset: Artefact
    first_stage: TrainedRetriever
    cases: HeldOut
    found: SplitResult
    selection: list[RankingExample]
    fusing: npt.NDArray[np.int64]

    @property
    def name(self) -> str:
        """Name of the checkpoint."""
        return self.settings.request.checkpoint

    @property
    def base_name(self) -> str:
        """Name of the base model."""
        return self.settings.request.base if self.base is None else self.base.name

    @property
    def k(self) -> int:
        """Candidates scored by the language model."""
        return self.settings.request.k

    @property
    def pool(self) -> int:
        """Items that are retrieved for the fusion."""
        return pool_size(self.k)

    @property
    def parents(self) -> dict[str, str]:
        """Digests of the artefacts that the ranker is made from, by name."""
        artefacts = (self.dataset, self.first_stage.artefact)
        digests = {one.manifest.name: one.manifest.digest for one in artefacts}
        return digests if self.base is None else {**digests, self.base.name: self.base.digest}

    def training_state(self) -> tuple[str, dict[str, Any]]:
        """Return name and recipe of the saved state of the strategy's training; see `TrainingStates`."""
        settings = self.settings
        if not settings.trains_by_gradient:
            return f"{self.name}.{settings.strategy or NO_MODEL}", {"parents": self.parents}
        recipe = {TABLE: asdict(settings.hyperparameters), "quantization": str(settings.quantization), "k": self.k}
        return self.name, recipe | {"parents": self.parents}

    def manifest(self, context: Context) -> Manifest:
        """Return the manifest of the checkpoint without metrics."""
        settings = self.settings
        training: dict[str, Any] = {}
        if settings.trains_by_gradient:
            training = {
                TABLE: asdict(settings.hyperparameters),
                "preset": settings.preset,
                "quantization": str(settings.quantization),
            }
        return Manifest(
            name=self.name,
            kind=Kind.RANKER,
            config={
                **training,
                "set_by": context.set_by(TABLE),
                "strategy": settings.strategy or NO_MODEL,
                "dataset": settings.request.dataset,
                "base": self.base_name,
                "k": self.k,
                "pool": self.pool,
                "retriever": self.first_stage.artefact.manifest.name,
                "vocabulary": self.data.vocabulary_digest(),
            },
            parents=self.parents,
            metrics={},
            command=context.command,
        )


def pool_size(k: int) -> int:
    """Return the number of items that are retrieved for the fusion."""
    return max(DEFAULT_POOL, k)


def resolve_settings(context: Context, request: RankerRequest) -> RankerSettings:
    """Validate a request and fill in its defaults, before any work is done.

    Raises:
        LlamaRecError: The name is taken, or TensorBoard logs cannot be written.
        UsageError: An argument or the configuration is wrong.
    """
    device = best_device()
    context.store.refuse_taken(request.checkpoint, Kind.RANKER, replace=request.replace)
    if not 2 <= request.k <= MAX_CANDIDATES:
        raise UsageError(
            f"`k` must be between 2 and {MAX_CANDIDATES}, not {request.k}.", "llamarec train ranker --help"
        )
    strategy = request.strategy or (NO_MODEL if device.type == "cpu" else DEFAULT_STRATEGY)
    known = (NO_MODEL, *fusable_strategies())
    if strategy not in known:
        raise UnknownNameError(strategy, "strategy", known)
    row = None if strategy == NO_MODEL else strategy_row(strategy)
    for signal in request.signals:
        if signal not in CHEAP:
            raise UnknownNameError(signal, "signal", CHEAP)
    # A strategy without hyper-parameters does not use them, but a mistake in the configuration is reported anyway.
    presets = (row and row.presets) or STRATEGIES[DEFAULT_STRATEGY].presets
    assert presets is not None
    preset = request.preset or ("paper" if device.type == "cuda" else "cpu")
    if preset not in presets:
        raise UnknownNameError(preset, "preset", presets)
    hyperparameters = resolve_config(presets[preset], request.overrides.get(TABLE, {}))
    quantization = parse_quantization(request.quantize) or default_quantization(device)
    if request.tensorboard is not None:
        need_tensorboard()
        need_log_folder(request.tensorboard)
    signals = tuple(Signal(signal) for signal in dict.fromkeys(request.signals))
    return RankerSettings(request, row, signals, preset, hyperparameters, quantization)


def make_plan(context: Context, settings: RankerSettings) -> RankerPlan:
    """Find or make everything that a ranker is made from, and select the validation users of its training.

    Raises:
        LlamaRecError: Something it needs cannot be had, or nothing was retrieved.
    """
    request, k = settings.request, settings.request.k
    # The base model first: if it cannot be had, no time is spent on the retriever. A ranker of signals downloads none.
    downloads_none = settings.strategy is None and request.base in BASE_MODELS
    base = None if downloads_none else need_base_model(context, request.base)
    data, dataset = need_dataset(context, request.dataset)
    warn_of_masked_items(context, request.dataset, data)
    first_stage = _first_stage(context, request, data)
    found = first_stage.retrieved(data, Split.VALIDATION, pool_size(k))
    cases = held_out(data, Split.VALIDATION)
    selection, fusing = retrieved_examples(cases, found, k), found.retrieved
    if settings.trains_by_gradient and len(selection) > 1:
        drawn = _draw(len(selection), settings.hyperparameters.validation_users, settings.hyperparameters.seed)
        # The fusion is fitted on the other users: on these NDCG is optimistic, as they selected the strategy's step.
        fusing = np.setdiff1d(fusing, np.flatnonzero(found.ranks_S <= k)[drawn])
        selection = [selection[user] for user in drawn]
    if not selection:
        sentence = (
            f"{first_stage.artefact.manifest.name} retrieves no validation user's item: there is nothing to rank."
        )
        raise LlamaRecError(sentence, command("train retriever", dataset=request.dataset, replace=True))
    return RankerPlan(settings, base, data, dataset, first_stage, cases, found, selection, fusing)


def _draw(users: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the indices of randomly drawn users: `count` of them, at most half; 0 for half."""
    drawn = min(count or users, max(1, users // 2))
    return np.sort(np.random.default_rng([seed, 2]).permutation(users)[:drawn])


def _first_stage(context: Context, request: RankerRequest, data: PreparedData) -> TrainedRetriever:
    """Load the retriever; one that is named after its model is trained first if it is missing."""
    name = request.retriever
    model = DEFAULT_FIRST_STAGE if name is None else name.removeprefix(f"{request.dataset}/")
    if model in RETRIEVERS:
        wanted = RetrieverRequest(request.dataset, model, base=request.base, overrides=request.overrides)
        return need_retriever(context, data, replace(wanted, replace=request.replace))
    assert name is not None
    return load_retriever(context, name, data)
