"""Ablation of a ranker: test ranks under each group of its signals, and what the language model contributes.

A forward pass for each user whose item is in the pool takes long on a CPU. Ranks are therefore cached as an artefact of
their own, and an interrupted computation resumes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load_file, save_file

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import candidate_reader, retrieved_examples
from llamarec_cli.artefacts.retrievers import SplitResult
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.engines.examples import score_through_engine
from llamarec_cli.engines.registry import DEFAULT_ENGINE
from llamarec_cli.evaluation.metrics import Ranks, all_metrics, ndcg_at, ndcg_per_user, ranks_of_answers
from llamarec_cli.evaluation.significance import Difference, paired_bootstrap
from llamarec_cli.pipeline.both_stages import load_both_stages
from llamarec_cli.progress import Reporter
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.fusion import EVERYTHING, PLAIN, RETRIEVER, SIGNALS, FusionGroups, Places
from llamarec_cli.ranking.signals import Array
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact

_RANKS_FILE = "ranks.safetensors"


@dataclass(frozen=True)
class AblationRow:
    """Results of one group of signals, ranked by its own fit.

    Attributes:
        group: Name of the group.
        validation: NDCG@10 over validation users, cross-validated.
        validation_gain: Gain of `validation` over the retriever's order.
        validation_error: Standard error of `validation_gain`.
        likelihood_gain: Gain in log-likelihood of validation users' true items over the retriever, in nats a user;
            None for a group that may not rank.
        likelihood_error: Standard error of `likelihood_gain`.
        test: NDCG@10 over test users.
        gain: Gain of `test` over the retriever's order, with its interval.
    """

    group: str
    validation: float
    validation_gain: float
    validation_error: float
    likelihood_gain: float | None
    likelihood_error: float | None
    test: float
    gain: Difference


@dataclass(frozen=True)
class Ablation:
    """Groups of signals compared over test users whose item is in the pool.

    Attributes:
        rows: One for each group, the retriever first.
        chosen: Group that ranks.
        reason: Why, in words.
        contribution: Gain of all signals over those that need no language model, in either stage; None if no signal
            needs a language model, or all of them do.
        second_stage: Gain of all signals over those available without the language model reading candidates; None if
            it reads none.
    """

    rows: list[AblationRow]
    chosen: str
    reason: str
    contribution: Difference | None
    second_stage: Difference | None


def ablate(groups: FusionGroups, ranks: Mapping[str, Ranks]) -> Ablation | None:
    """Compare groups of signals.

    Args:
        groups: Fits of a ranker.
        ranks: Test ranks by group, of users whose item is in the pool.

    Returns:
        The ablation; None if there is no such user.
    """
    if not len(ranks[RETRIEVER]):
        return None
    gains = {name: ndcg_per_user(of_group, 10) for name, of_group in ranks.items()}
    rows = [
        AblationRow(
            name,
            one.ndcg,
            one.gain,
            one.error,
            one.likelihood_gain,
            one.likelihood_error,
            ndcg_at(ranks[name], 10),
            paired_bootstrap(gains[name], gains[RETRIEVER]),
        )
        for name, one in groups.fitted.items()
    ]
    whole = next((name for name in (EVERYTHING, SIGNALS) if name in gains), None)
    plain = next((name for name in (PLAIN, SIGNALS) if name in gains and name != whole), None)
    contribution = paired_bootstrap(gains[whole], gains[plain]) if whole and plain else None
    second_stage = paired_bootstrap(gains[EVERYTHING], gains[SIGNALS]) if EVERYTHING in gains else None
    return Ablation(rows, groups.chosen, groups.reason, contribution, second_stage)


def ranks_by_group(
    context: Context, ranker: Artefact, data: PreparedData, engine: str = DEFAULT_ENGINE
) -> dict[str, Ranks]:
    """Return the test ranks under each group of a ranker's signals, from the cache if it holds them."""
    name = f"{ranker.manifest.name}.test"
    parents = {ranker.manifest.name: ranker.manifest.digest}
    # The manifest's digest covers the tensors; ranks depend on configuration, fusion and parents as well.
    inputs = [ranker.manifest.config, ranker.manifest.metrics["fusion"], ranker.manifest.parents]
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    if name in context.store:
        cached = context.store.open(name, Kind.EVALUATION)
        if cached.manifest.parents == parents and cached.manifest.config.get("ranker") == digest:
            return load_file(cached.path / _RANKS_FILE)
    states = TrainingStates(context, name, {"parents": parents, "ranker": digest})
    ranks = _compute_ranks(context, ranker, data, engine, states)
    manifest = Manifest(
        name=name,
        kind=Kind.EVALUATION,
        config={"dataset": ranker.manifest.config["dataset"], "split": str(Split.TEST), "ranker": digest},
        parents=parents,
        metrics={group: all_metrics(of_group) for group, of_group in ranks.items()},
        command=context.command,
    )
    with context.store.stage(manifest, replace=True) as folder:
        save_file(ranks, folder / _RANKS_FILE)
    states.clear()
    return ranks


def _compute_ranks(
    context: Context, ranker: Artefact, data: PreparedData, engine: str, states: TrainingStates
) -> dict[str, Ranks]:
    """Order the pool of each user whose item is in it; all other users keep the retriever's rank."""
    _, retriever, trained = load_both_stages(context, ranker.manifest.config["dataset"], ranker.manifest.name)
    cases = held_out(data, Split.TEST)
    result = retriever.retrieved(data, Split.TEST, ranker.manifest.config["pool"])
    examples = retrieved_examples(cases, result)
    answers = np.array([example.answer for example in examples], dtype=np.int64)
    candidates = result.candidates.of_users(result.retrieved)
    signals = trained.source.compute(examples, candidates)

    def score(some: Sequence[RankingExample], k: int, chunk_size: int, report: Reporter) -> Iterator[Array]:
        spec, source = trained.spec(trained.strategy), trained.source
        return score_through_engine(
            engine, spec, lambda: source.scorer, some, k=k, chunk_size=chunk_size, report=report
        )

    # All groups that use the language model read the same candidates, so these are read once.
    read = candidate_reader(context, trained.source, examples, stage="rank test users", states=states, score=score)
    scores: list[Array] = []

    def read_once(places_SK: Places) -> Array:
        if not scores:
            scores.append(read(places_SK))
        return scores[0]

    return {
        group: _with_ranks(
            result,
            ranks_of_answers(
                trained.groups.log_probabilities(group, signals, candidates.items_SK > 0, read_once), answers
            ),
        )
        for group in trained.groups.fitted
    }


def _with_ranks(result: SplitResult, new: Ranks) -> Ranks:
    changed = result.ranks_S.copy()
    changed[result.retrieved] = new
    return changed
