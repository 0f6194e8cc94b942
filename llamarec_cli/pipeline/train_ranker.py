"""`train ranker`: fine-tune a base model on the training sequences, fit the fusion, and save the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llamarec_cli.config import resolve_config
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import HeldOut, Split, held_out, training_sequences
from llamarec_cli.errors import LlamaRecError, UsageError, nearest
from llamarec_cli.evaluation.metrics import ndcg_at
from llamarec_cli.pipeline.base_model import need_base_model
from llamarec_cli.pipeline.context import Context, best_device
from llamarec_cli.pipeline.prepare import need_dataset
from llamarec_cli.pipeline.retrievers import SplitResult, check_vocabulary, load_retriever
from llamarec_cli.pipeline.train_retriever import need_retriever
from llamarec_cli.pipeline.training_state import TrainingStates
from llamarec_cli.ranking.adapters import merge_adapter, save_adapter
from llamarec_cli.ranking.base_models import (
    DEFAULT_BASE,
    base_model_row,
    load_base_model,
    load_tokenizer,
    parse_quantization,
)
from llamarec_cli.ranking.engine import PromptEncoder, RankingEngine
from llamarec_cli.ranking.examples import RankingExample, TrainingExamples
from llamarec_cli.ranking.finetuning import (
    PRESETS,
    RankerValidation,
    ValidationSet,
    score_examples,
    train_ranker,
)
from llamarec_cli.ranking.fusion import FittedWeight, fit_weight
from llamarec_cli.ranking.prompt import MAX_HISTORY
from llamarec_cli.retrieval.candidates import DEFAULT_K
from llamarec_cli.snapshots import TrainingState
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact

_PROMPTS_A_PASS = {"cpu": 1, "cuda": 8}


def ranker_name(dataset: str, base: str = DEFAULT_BASE) -> str:
    """Return the name that a ranker of a data set has unless another is given."""
    return f"{dataset}/{base}"


@dataclass(frozen=True)
class TrainedRanker:
    """A ranker as loaded from the store.

    Attributes:
        engine: Base model with the adapter merged.
        weight: Share of the verbalizer in the final order.
        retriever: Name of the retriever it was fitted with.
        artefact: Where it came from.
    """

    engine: RankingEngine
    weight: float
    retriever: str
    artefact: Artefact


def train(
    context: Context,
    dataset: str,
    *,
    base: str = DEFAULT_BASE,
    name: str | None = None,
    preset: str | None = None,
    quantize: str | None = None,
    retriever: str | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    max_minutes: float | None = None,
    replace: bool = False,
) -> Artefact:
    """Train a LoRA adapter for the verbalizer and fit the weight of the fusion on validation.

    Args:
        context: Surroundings.
        dataset: Name of a prepared data set, or of one in the catalogue.
        base: Base model.
        name: Name of the checkpoint; `DATASET/BASE` by default.
        preset: A name of `PRESETS`; by default `paper` on CUDA, `cpu` on a CPU.
        quantize: `nf4` or `none`; by default NF4 on CUDA and none on a CPU.
        retriever: Name of the retriever's checkpoint; `DATASET/lrurec` by default, trained first where it is missing.
        overrides: Values over the preset's in table `ranker`; the other tables count if the retriever is trained.
        max_minutes: Stop after so long.
        replace: Whether a checkpoint of that name may be replaced.

    Returns:
        The checkpoint.

    Raises:
        LlamaRecError: The name is taken, something it needs cannot be had, nothing was retrieved, or training diverged.
        UsageError: The preset, the quantisation or the configuration is wrong.
    """
    device = best_device()
    name = name or ranker_name(dataset, base)
    context.store.refuse_taken(name, Kind.RANKER, replace=replace)
    preset = preset or ("paper" if device.type == "cuda" else "cpu")
    if preset not in PRESETS:
        raise UsageError(
            f"There is no preset called {preset}: {nearest(preset, PRESETS)}", "llamarec train ranker --help"
        )
    overrides = overrides or {}
    config = resolve_config(PRESETS[preset], overrides.get("ranker", {}))
    quantization = parse_quantization(quantize, device)
    base_model_row(base)
    data, parent = need_dataset(context, dataset)
    if retriever is None:
        first_stage = need_retriever(context, dataset, data, overrides)
    else:
        first_stage = load_retriever(context, retriever, data)
    base_artefact = need_base_model(context, base)
    validation = ValidationSet(
        retrieved_examples(held_out(data, Split.VALIDATION), first_stage.results[Split.VALIDATION])
    )
    if not validation.examples:
        raise LlamaRecError(
            f"{first_stage.artefact.manifest.name} retrieves no validation user's item, so there is nothing to rank.",
            f"llamarec train retriever --dataset {dataset} --replace",
        )
    parents = {
        artefact.manifest.name: artefact.manifest.digest for artefact in (parent, first_stage.artefact, base_artefact)
    }
    recipe = {"ranker": asdict(config), "quantization": str(quantization), "parents": parents}
    states = TrainingStates(context, name, recipe)
    saved = states.load()
    encoder = PromptEncoder(load_tokenizer(base_artefact.path), data.titles)
    adapted, state = train_ranker(
        load_base_model(base_artefact.path, device, quantization),
        encoder,
        TrainingExamples(training_sequences(data), data.item_count, DEFAULT_K, config.seed),
        validation,
        config,
        prompts_a_pass=_PROMPTS_A_PASS[device.type],
        max_minutes=max_minutes,
        resume=TrainingState.restore(RankerValidation, *saved) if saved else None,
        save_state=lambda state: states.save(state.tensors, state.numbers()),
        report=context.report,
    )
    manifest = Manifest(
        name=name,
        kind=Kind.RANKER,
        config={
            "ranker": asdict(config),
            "preset": preset,
            "quantization": str(quantization),
            "dataset": dataset,
            "base": base,
            "retriever": first_stage.artefact.manifest.name,
            "vocabulary": data.vocabulary_digest(),
        },
        parents=parents,
        metrics={},
        command=context.command,
    )
    with context.store.stage(manifest, replace=replace) as folder:
        save_adapter(adapted, folder, base)
        del adapted
        # Scored with the adapter merged, as it will be used, so that the weight fits what users get.
        merged = merge_adapter(load_base_model(base_artefact.path, device), folder)
        fitted = _fit_fusion(context, RankingEngine(merged, encoder), validation, first_stage.results[Split.VALIDATION])
        manifest.metrics.update(
            {
                "fusion": {"weight": fitted.weight, "users": fitted.users, "ndcg@10_by_weight": fitted.ndcg_by_weight},
                "validation": [asdict(one) for one in state.validations],
                "retriever_ndcg@10": ndcg_at(validation.answers + 1, 10),
                "examples": state.validations[-1].examples,
                "minutes": round(state.seconds / 60, 1),
                "device": str(device),
            }
        )
    states.clear()
    return context.store.open(name, Kind.RANKER)


def _fit_fusion(context: Context, engine: RankingEngine, validation: ValidationSet, found: SplitResult) -> FittedWeight:
    """Rank all validation users whose item was retrieved, and fit the weight of the fusion on them."""
    scores_SK = score_examples(engine, validation.examples, found.candidates.k, "fit the fusion", context.report)
    return fit_weight(found.candidates.log_probabilities()[found.retrieved], scores_SK, validation.answers)


def load_ranker(context: Context, name: str, data: PreparedData) -> TrainedRanker:
    """Load a ranker from the store, its adapter merged into its base model.

    Raises:
        LlamaRecError: It or its base model is missing or damaged, or does not belong to this data or retriever.
    """
    artefact = context.store.open(name, Kind.RANKER)
    config = artefact.manifest.config
    check_vocabulary(artefact, data)
    base = need_base_model(context, config["base"])
    _check_parent(artefact, base)
    _check_parent(artefact, context.store.open(config["retriever"], Kind.RETRIEVER))
    model = merge_adapter(load_base_model(base.path, best_device()), artefact.path)
    engine = RankingEngine(model, PromptEncoder(load_tokenizer(base.path), data.titles))
    return TrainedRanker(engine, artefact.manifest.metrics["fusion"]["weight"], config["retriever"], artefact)


def _check_parent(child: Artefact, parent: Artefact) -> None:
    if child.manifest.parents[parent.manifest.name] != parent.manifest.digest:
        name, dataset = child.manifest.name, child.manifest.config["dataset"]
        raise LlamaRecError(
            f"{name} was trained with another {parent.manifest.name} than the store holds now.",
            f"llamarec train ranker --dataset {dataset} --name {name} --replace",
        )


def retrieved_examples(cases: HeldOut, result: SplitResult) -> list[RankingExample]:
    """Return, for each user whose item was retrieved, history, candidates in the retriever's order, and the answer."""
    examples: list[RankingExample] = []
    for user in result.retrieved:
        candidates = result.candidates.items_SK[user]
        candidates = candidates[candidates > 0]
        answer = int(np.flatnonzero(candidates == cases.targets_S[user])[0])
        examples.append(RankingExample(cases.histories[int(user)][-MAX_HISTORY:], candidates, answer))
    return examples
