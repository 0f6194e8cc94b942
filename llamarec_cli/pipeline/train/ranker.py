"""`train ranker`: make the second stage; train an adapter if the strategy takes one, and fit the fusion."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llamarec_cli.artefacts.base_model import BaseModel, need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import (
    DEFAULT_POOL,
    NO_MODEL,
    candidate_reader,
    count_items,
    first_stage_signals,
    ranker_name,
    retrieved_examples,
    save_counts,
    save_priors,
    trained_precision,
)
from llamarec_cli.artefacts.retrievers import DEFAULT_FIRST_STAGE, TrainedRetriever, load_retriever
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.config import resolve_config
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out, training_sequences
from llamarec_cli.devices import best_device
from llamarec_cli.errors import LlamaRecError, UnknownNameError, UsageError
from llamarec_cli.language_model.base_models import default_quantization, load_tokenizer
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.language_model.inference import load_for_ranking
from llamarec_cli.names import parse_quantization
from llamarec_cli.pipeline.prepare import need_dataset
from llamarec_cli.pipeline.train.adapter import AdapterTraining
from llamarec_cli.pipeline.train.retriever import need_retriever
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.pipeline.train.tensorboard import need_figures_folder, need_tensorboard
from llamarec_cli.ranking.fusion_fit import Available, fit_groups
from llamarec_cli.ranking.signals import CHEAP, LANGUAGE_MODEL, Signal, SignalSource
from llamarec_cli.retrieval.candidates import DEFAULT_K
from llamarec_cli.retrieval.registry import RETRIEVERS
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.likelihood import LikelihoodEngine
from llamarec_cli.strategies.prompt import MAX_CANDIDATES
from llamarec_cli.strategies.registry import ScorerSpec, open_scorer
from llamarec_cli.strategies.verbalizer.config import PRESETS
from llamarec_cli.strategies.verbalizer.finetuning import RankerState
from llamarec_cli.strategies.verbalizer.validation import ValidationSet
from llamarec_cli.strategies.verbalizer.worker_group import Processes


def train(
    context: Context,
    dataset: str,
    *,
    base: str = DEFAULT_BASE,
    strategy: str | None = None,
    signals: Sequence[str] = CHEAP,
    k: int = DEFAULT_K,
    name: str | None = None,
    preset: str | None = None,
    quantize: str | None = None,
    retriever: str | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    max_minutes: float | None = None,
    tensorboard: Path | None = None,
    replace: bool = False,
    processes: Processes | None = None,
) -> Artefact | None:
    """Make a ranker: train an adapter if the strategy takes one, and fit the fusion on validation.

    Args:
        context: Surroundings.
        dataset: Name of a prepared data set, or of one in the catalogue.
        base: Base model: a known name, a folder, or a repository on the Hugging Face Hub.
        strategy: How the language model reads the candidates: `verbalizer`, for which an adapter is trained;
            `likelihood`, which needs none; or `signals`, not at all, which is the default on a CPU.
        signals: Which signals of counts and words may count in the final score.
        k: Candidates that a language model reads.
        name: Name of the checkpoint; `DATASET/BASE` by default.
        preset: A name of `PRESETS`; by default `paper` on CUDA, `cpu` on a CPU.
        quantize: `nf4` or `none`; by default NF4 on CUDA and none on a CPU.
        retriever: Name of the retriever's checkpoint; `DATASET/ensemble` by default. One that is called after its
            model, as `DATASET/lrurec`, is trained first where it is missing.
        overrides: Values over the preset's in table `ranker`; the other tables count if the retriever is trained.
        max_minutes: Train the adapter for so long at most.
        tensorboard: Folder for figures of the adapter's training.
        replace: Whether a checkpoint of that name may be replaced.
        processes: Those that train an adapter together, if there are several.

    Returns:
        The checkpoint; None in a process that is not the main one.

    Raises:
        LlamaRecError: The name is taken, something it needs cannot be had, nothing was retrieved, or training diverged.
        UsageError: The preset, the quantisation or the configuration is wrong.
    """
    device = best_device()
    name = name or ranker_name(dataset, base)
    context.store.refuse_taken(name, Kind.RANKER, replace=replace)
    if not 2 <= k <= MAX_CANDIDATES:
        raise UsageError(f"--k must be between 2 and {MAX_CANDIDATES}, not {k}.", "llamarec train ranker --help")
    model = _parse_model(strategy or (NO_MODEL if device.type == "cpu" else Signal.VERBALIZER))
    cheap = list(dict.fromkeys(_parse_signal(signal) for signal in signals))
    overrides = overrides or {}
    preset = preset or ("paper" if device.type == "cuda" else "cpu")
    if preset not in PRESETS:
        raise UnknownNameError(preset, "preset", PRESETS)
    config = resolve_config(PRESETS[preset], overrides.get("ranker", {}))
    quantization = parse_quantization(quantize) or default_quantization(device)
    if tensorboard is not None:
        need_tensorboard()
        need_figures_folder(tensorboard)
    processes = processes or Processes()
    resume: RankerState | None = None
    if not processes.is_main:
        if model is not Signal.VERBALIZER:
            return None
        # The main process takes every step that is missing; what it gives in the end is the state to go on from.
        resume = processes.from_main(None)
    # Before anything that takes long: a base model that cannot be had is the likeliest to go wrong.
    base_model = need_base_model(context, base)
    data, parent = need_dataset(context, dataset)
    first_stage = _first_stage(context, dataset, data, retriever, base, overrides)
    pool = max(DEFAULT_POOL, k)
    found = first_stage.retrieved(data, Split.VALIDATION, pool)
    cases = held_out(data, Split.VALIDATION)
    # Users that chose the adapter would flatter it in the fusion.
    fusing = found.retrieved
    selecting = ValidationSet(retrieved_examples(cases, found, k))
    if model is Signal.VERBALIZER and len(selecting.examples) > 1:
        choosing, _ = selecting.divided(config.validation_users, config.seed)
        fusing = np.setdiff1d(fusing, np.flatnonzero(found.ranks_S <= k)[choosing])
        selecting = selecting.subset(choosing)
    if not len(selecting.examples):
        raise LlamaRecError(
            f"{first_stage.artefact.manifest.name} retrieves no validation user's item, so there is nothing to rank.",
            f"llamarec train retriever --dataset {dataset} --replace",
        )
    parents = {
        **{one.manifest.name: one.manifest.digest for one in (parent, first_stage.artefact)},
        base_model.name: base_model.digest,
    }
    adapter: AdapterTraining | None = None
    training: dict[str, Any] = {}
    if model is Signal.VERBALIZER:
        adapter = AdapterTraining(
            context,
            name,
            data,
            base_model,
            first_stage.artefact,
            k,
            selecting,
            config,
            quantization,
            parents,
        )
        if not processes.is_main:
            adapter.join(processes, resume, max_minutes)
            return None
        training = {"ranker": asdict(config), "preset": preset, "quantization": str(quantization)}
    manifest = Manifest(
        name=name,
        kind=Kind.RANKER,
        config={
            **training,
            "set_by": context.set_by("ranker"),
            "strategy": str(model or NO_MODEL),
            "dataset": dataset,
            "base": base_model.name,
            "k": k,
            "pool": pool,
            "retriever": first_stage.artefact.manifest.name,
            "vocabulary": data.vocabulary_digest(),
        },
        parents=parents,
        metrics={},
        command=context.command,
    )
    title_states = TrainingStates(context, f"{name}.titles", {"parents": parents})
    began = time.monotonic()
    with context.store.making(name, context.say), context.store.stage(manifest, replace=replace) as folder:
        made: dict[str, Any] = {}
        if adapter is not None:
            made = adapter.run(folder, processes, max_minutes, tensorboard)
        elif model is Signal.LIKELIHOOD:
            _read_titles(context, base_model, data, folder, title_states)
        counts = count_items(training_sequences(data), data.item_count)
        manifest.config["counts"] = save_counts(counts, folder)
        # Scored from the folder, as it will be used, so that the fusion fits what users get.
        source = SignalSource(
            counts,
            data.titles,
            lambda: open_scorer(
                ScorerSpec(str(model), base_model.path, folder, data.titles, trained_precision(manifest.config))
            ),
        )
        # What was made tells language models apart.
        states = TrainingStates(context, f"{name}.scores", {"made": made, "k": k, "pool": pool, "parents": parents})
        of_users = found.of_users(fusing)
        examples = retrieved_examples(cases.of_users(fusing), of_users)
        groups = fit_groups(
            source.compute(examples, of_users.candidates, cheap),
            of_users.candidates.items_SK > 0,
            np.array([example.answer for example in examples], dtype=np.int64),
            Available(*first_stage_signals(first_stage.model), tuple(cheap), model),
            k,
            candidate_reader(context, source, examples, stage="fit the fusion", states=states),
        )
        manifest.metrics.update(
            {
                "fusion": groups.as_json(),
                **made,
                "minutes": round((time.monotonic() - began) / 60, 1),
                "device": str(device),
            }
        )
    states.clear()
    title_states.clear()
    if adapter is not None:
        adapter.clear()
    return context.store.open(name, Kind.RANKER)


def _read_titles(context: Context, base: BaseModel, data: PreparedData, folder: Path, states: TrainingStates) -> None:
    """Compute the priors of all titles into a ranker's folder, or take those of an interrupted run."""
    if saved := states.load():
        priors = saved[0]["priors"].numpy()
    else:
        engine = LikelihoodEngine(load_for_ranking(base.path, best_device()), load_tokenizer(base.path), data.titles)
        priors = engine.title_priors(context.report)
        states.save({"priors": torch.from_numpy(priors)}, {})
    save_priors(priors, folder)


def _first_stage(
    context: Context,
    dataset: str,
    data: PreparedData,
    retriever: str | None,
    base: str,
    overrides: Mapping[str, Mapping[str, Any]],
) -> TrainedRetriever:
    """Return the retriever of that name, trained first where it is missing and called after its model."""
    model = DEFAULT_FIRST_STAGE if retriever is None else retriever.removeprefix(f"{dataset}/")
    if model in RETRIEVERS:
        request = RetrieverRequest(dataset, model=model, base=base, overrides=overrides)
        return need_retriever(context, data, request)
    assert retriever is not None
    return load_retriever(context, retriever, data)


def _parse_model(strategy: str) -> Signal | None:
    """Return the signal of a strategy, None for that of no language model."""
    if strategy not in (*LANGUAGE_MODEL, NO_MODEL):
        raise UnknownNameError(strategy, "strategy", (NO_MODEL, *LANGUAGE_MODEL))
    return None if strategy == NO_MODEL else Signal(strategy)


def _parse_signal(name: str) -> Signal:
    if name not in CHEAP:
        raise UnknownNameError(name, "signal", CHEAP)
    return Signal(name)
