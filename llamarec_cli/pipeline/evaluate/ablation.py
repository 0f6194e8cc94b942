"""What each group of a ranker's signals is worth on test users: the retriever, with cheap signals, with the model.

A language model's pass for each user whose item is in the pool takes long, so ranks are kept in an artefact of their
own, and an interrupted computation goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import candidate_reader, retrieved_examples
from llamarec_cli.artefacts.retrievers import SplitResult
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.evaluation.metrics import all_metrics, ndcg_at, ndcg_per_user, ranks_of_answers
from llamarec_cli.evaluation.significance import Difference, paired_bootstrap
from llamarec_cli.pipeline.both_stages import load_both_stages
from llamarec_cli.ranking.fusion import EVERYTHING, PLAIN, RETRIEVER, SIGNALS, FusionGroups, Places
from llamarec_cli.ranking.signals import Array
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact

_RANKS_FILE = "ranks.safetensors"

Ranks = npt.NDArray[np.int32]


@dataclass(frozen=True)
class AblationRow:
    """One group of signals, ranked by its own fit.

    Attributes:
        group: Its name.
        validation: NDCG@10 of validation users, cross-validated.
        validation_gain: The gain of that over the retriever's own order.
        validation_error: Standard error of the gain.
        test: NDCG@10 of test users.
        gain: The gain of that over the retriever's own order, with its interval.
    """

    group: str
    validation: float
    validation_gain: float
    validation_error: float
    test: float
    gain: Difference


@dataclass(frozen=True)
class Ablation:
    """What the language model adds to a retriever, and what is to be had without it; users whose item was retrieved.

    Attributes:
        rows: One a group, the retriever first.
        chosen: Group that ranks.
        contribution: What the language model adds to all other signals together, in the first stage and in the second,
            on test users; None where it has no part, or where there is no other signal.
        second_stage: What it adds by reading candidates to all other signals, those of the first stage included;
            None where it reads none.
    """

    rows: list[AblationRow]
    chosen: str
    contribution: Difference | None
    second_stage: Difference | None


def ablate(groups: FusionGroups, ranks: Mapping[str, Ranks]) -> Ablation | None:
    """Compare the groups of signals over users whose item is in the pool; None if there is no such user."""
    if not len(ranks[RETRIEVER]):
        return None
    gains = {name: ndcg_per_user(of_group, 10) for name, of_group in ranks.items()}
    rows = [
        AblationRow(
            name,
            one.ndcg,
            one.gain,
            one.error,
            ndcg_at(ranks[name], 10),
            paired_bootstrap(gains[name], gains[RETRIEVER]),
        )
        for name, one in groups.fitted.items()
    ]
    whole = next((name for name in (EVERYTHING, SIGNALS) if name in gains), None)
    plain = next((name for name in (PLAIN, SIGNALS) if name in gains and name != whole), None)
    contribution = paired_bootstrap(gains[whole], gains[plain]) if whole and plain else None
    second_stage = paired_bootstrap(gains[EVERYTHING], gains[SIGNALS]) if EVERYTHING in gains else None
    return Ablation(rows, groups.chosen, contribution, second_stage)


def ranks_by_group(context: Context, ranker: Artefact, data: PreparedData) -> dict[str, Ranks]:
    """Return the ranks under each group of a ranker's signals, computing them where they are not kept yet."""
    name = f"{ranker.manifest.name}.test"
    parents = {ranker.manifest.name: ranker.manifest.digest}
    # The digest is that of the tensors; configuration, fusion and what it was made from decide about ranks as well.
    told = [ranker.manifest.config, ranker.manifest.metrics["fusion"], ranker.manifest.parents]
    made = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    if name in context.store:
        kept = context.store.open(name, Kind.EVALUATION)
        if kept.manifest.parents == parents and kept.manifest.config.get("ranker") == made:
            return load_file(kept.path / _RANKS_FILE)
    states = TrainingStates(context, name, {"parents": parents, "ranker": made})
    ranks = _compute_ranks(context, ranker, data, states)
    manifest = Manifest(
        name=name,
        kind=Kind.EVALUATION,
        config={"dataset": ranker.manifest.config["dataset"], "split": str(Split.TEST), "ranker": made},
        parents=parents,
        metrics={group: all_metrics(of_group) for group, of_group in ranks.items()},
        command=context.command,
    )
    with context.store.stage(manifest, replace=True) as folder:
        save_file(ranks, folder / _RANKS_FILE)
    states.clear()
    return ranks


def _compute_ranks(context: Context, ranker: Artefact, data: PreparedData, states: TrainingStates) -> dict[str, Ranks]:
    """Order the pool of every user whose item is in it; the others keep the retriever's rank."""
    _, retriever, trained = load_both_stages(context, ranker.manifest.config["dataset"], ranker.manifest.name)
    cases = held_out(data, Split.TEST)
    result = retriever.retrieved(data, Split.TEST, ranker.manifest.config["pool"])
    examples = retrieved_examples(cases, result)
    answers = np.array([example.answer for example in examples], dtype=np.int64)
    candidates = result.candidates.of_users(result.retrieved)
    signals = trained.source.compute(examples, candidates)
    # All groups that have a language model read the same candidates: they are read once.
    read = candidate_reader(context, trained.source, examples, stage="rank test users", states=states)
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
