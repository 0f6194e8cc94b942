"""Gains and contributions of groups, and the cache of a ranker's test ranks."""

import math
from typing import Any

import numpy as np
import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.pipeline.evaluate import ablation
from llamarec_cli.pipeline.evaluate.ablation import ablate, ranks_by_group
from llamarec_cli.ranking.fusion import EVERYTHING, PLAIN, RETRIEVER, SIGNALS, FittedFusion, Fusion, FusionGroups
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact


def groups(*names: str, chosen: str = RETRIEVER) -> FusionGroups:
    fitted = {name: FittedFusion(Fusion({}), ndcg=0.5, gain=0.05, error=0.02) for name in names}
    return FusionGroups(fitted, chosen, users=100, model=None, k=20)


def test_gains_are_over_the_retriever() -> None:
    ranks = {RETRIEVER: np.array([2, 3]), SIGNALS: np.array([1, 3])}
    found = ablate(groups(RETRIEVER, SIGNALS, chosen=SIGNALS), ranks)
    assert found is not None
    assert found.chosen == SIGNALS
    retriever, signals = found.rows
    assert retriever.gain.mean == 0
    assert signals.test == pytest.approx((1 + 1 / 2) / 2)
    assert signals.gain.mean == pytest.approx((1 - 1 / math.log2(3)) / 2)
    assert signals.threshold == pytest.approx(2.4 * 0.02)


@pytest.mark.parametrize(
    ("names", "contribution", "second_stage"),
    [
        ((RETRIEVER, SIGNALS), None, None),
        ((RETRIEVER, PLAIN, SIGNALS), (PLAIN, SIGNALS), None),
        ((RETRIEVER, SIGNALS, EVERYTHING), (SIGNALS, EVERYTHING), (SIGNALS, EVERYTHING)),
        ((RETRIEVER, PLAIN, SIGNALS, EVERYTHING), (PLAIN, EVERYTHING), (SIGNALS, EVERYTHING)),
    ],
)
def test_a_contribution_is_measured_against_the_signals_without_it(
    names: tuple[str, ...], contribution: tuple[str, str] | None, second_stage: tuple[str, str] | None
) -> None:
    ranks = {name: np.array([4 - place]) for place, name in enumerate(names)}
    found = ablate(groups(*names), ranks)
    assert found is not None
    ndcg = {row.group: row.test for row in found.rows}
    for difference, pair in ((found.contribution, contribution), (found.second_stage, second_stage)):
        assert (difference is None) == (pair is None)
        if difference is not None and pair is not None:
            assert difference.mean == pytest.approx(ndcg[pair[1]] - ndcg[pair[0]])


def test_without_users_there_is_no_ablation() -> None:
    assert ablate(groups(RETRIEVER), {RETRIEVER: np.array([], dtype=np.int32)}) is None


def ranker(context: Context, **metrics: Any) -> Artefact:
    manifest = Manifest(
        "games/ranker", Kind.RANKER, config={"dataset": "games"}, parents={}, metrics=metrics, command="test"
    )
    with context.store.stage(manifest, replace=True) as folder:
        (folder / "counts.safetensors").write_bytes(b"")
    return context.store.open("games/ranker", Kind.RANKER)


def test_ranks_are_computed_once_for_each_fit(
    context: Context, ring: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[dict[str, Any]] = []

    def compute(*_: object) -> dict[str, Any]:
        computed.append({RETRIEVER: np.array([1, len(computed) + 2], dtype=np.int32)})
        return computed[-1]

    monkeypatch.setattr(ablation, "_compute_ranks", compute)
    for fusion in ({"chosen": RETRIEVER}, {"chosen": SIGNALS}):
        for _ in range(2):
            ranks = ranks_by_group(context, ranker(context, fusion=fusion), ring)
            assert ranks[RETRIEVER].tolist() == computed[-1][RETRIEVER].tolist()
    assert len(computed) == 2
