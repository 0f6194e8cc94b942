"""What each group of a ranker's signals is worth on test users: the retriever, with cheap signals, with the model.

A pass of the language model for each user whose item was retrieved takes long, so ranks are kept in an artefact of
their own, and an interrupted computation goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.evaluation.metrics import all_metrics, ndcg_at, ndcg_per_user, ranks_of_answers
from llamarec_cli.evaluation.significance import Difference, paired_bootstrap
from llamarec_cli.pipeline.both_stages import load_both_stages
from llamarec_cli.pipeline.context import Context
from llamarec_cli.pipeline.rankers import compute_signals, retrieved_examples
from llamarec_cli.pipeline.retrievers import SplitResult
from llamarec_cli.pipeline.training_state import TrainingStates
from llamarec_cli.ranking.fusion import EVERYTHING, RETRIEVER, SIGNALS, FusionGroups
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
        model: Name of the language model's own group.
        contribution: What the language model adds to all other signals together, on test users; None if no other signal
            may count.
    """

    rows: list[AblationRow]
    chosen: str
    model: str
    contribution: Difference | None


def ablate(groups: FusionGroups, ranks: Mapping[str, Ranks], model: str) -> Ablation | None:
    """Compare the groups of signals over users whose item was retrieved; None if there is no such user."""
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
    contribution = paired_bootstrap(gains[EVERYTHING], gains[SIGNALS]) if EVERYTHING in gains else None
    return Ablation(rows, groups.chosen, model, contribution)


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
    """Rank the candidates of every user whose item was retrieved; the others keep the retriever's rank."""
    _, retriever, trained = load_both_stages(context, ranker.manifest.config["dataset"], ranker.manifest.name)
    result = retriever.retrieved(data, Split.TEST, ranker.manifest.config["k"])
    examples = retrieved_examples(held_out(data, Split.TEST), result)
    answers = np.array([example.answer for example in examples], dtype=np.int64)
    signals = compute_signals(
        context,
        trained.source,
        examples,
        result.candidates.log_probabilities()[result.retrieved],
        stage="rank test users",
        states=states,
    )
    exists_SK = result.candidates.items_SK[result.retrieved] > 0
    return {
        group: _with_ranks(result, ranks_of_answers(one.fusion.log_probabilities(signals, exists_SK), answers))
        for group, one in trained.groups.fitted.items()
    }


def _with_ranks(result: SplitResult, new: Ranks) -> Ranks:
    changed = result.ranks_S.copy()
    changed[result.retrieved] = new
    return changed
