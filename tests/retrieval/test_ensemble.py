"""Ensembles of fake retrievers."""

import numpy as np
import torch
from sequences import nothing_held_out, sequences_of

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import HeldOut, Sequences, Split, held_out, training_sequences
from llamarec_cli.evaluation.metrics import ndcg_at
from llamarec_cli.retrieval.candidates import rank_targets, retrieve
from llamarec_cli.retrieval.ensemble import Ensemble, EnsembleConfig
from llamarec_cli.retrieval.registry import build, describe
from llamarec_cli.retrieval.scoring import Fitting, Retriever


def fitting_on(sequences: Sequences, validation: HeldOut, items: int, trained) -> Fitting:  # type: ignore[no-untyped-def]
    return Fitting(sequences, validation, items, trained, torch.device("cpu"))


class _Indifferent(Retriever):
    """Scores every item alike."""

    def score(self, histories: Sequences, users_B: np.ndarray) -> torch.Tensor:
        return torch.zeros(len(users_B), 41)


def test_an_ensemble_learns_what_its_retriever_misses(ring: PreparedData) -> None:
    validation = held_out(ring, Split.VALIDATION)
    told: list[str] = []
    fitting = Fitting(
        training_sequences(ring),
        validation,
        ring.item_count,
        lambda _: _Indifferent(),
        torch.device("cpu"),
        lambda progress: told.append(progress.note),
    )
    model = Ensemble.fit(EnsembleConfig(neighbours=5, window=5, recent=3, retrievers=("lrurec",)), fitting)
    assert model.weights_J[1:].sum() > 0
    assert ndcg_at(rank_targets(model, validation), 10) > 0.6
    parts = {part["name"]: part for part in model.fit_metrics()["blend"]["parts"]}
    assert list(parts) == ["lrurec", "together", "following"]
    # Who scores everything alike adds nothing.
    assert parts["lrurec"]["ndcg_without"] == model.fit_metrics()["blend"]["ndcg@10"] > 0.6
    assert any("following" in note for note in told)


class _Knowing(_Indifferent):
    """Knows the true item of every validation user."""

    def __init__(self, cases: HeldOut) -> None:
        super().__init__()
        self.cases = cases

    def score(self, histories: Sequences, users_B: np.ndarray) -> torch.Tensor:
        scores = super().score(histories, users_B)
        scores[np.arange(len(users_B)), self.cases.targets_S[users_B]] = 9.0
        return scores


def test_members_count_by_what_they_know_and_none_below_0(ring: PreparedData) -> None:
    validation = held_out(ring, Split.VALIDATION)
    members = {"knowing": _Knowing(validation), "other": _Indifferent()}
    fitting = fitting_on(training_sequences(ring), validation, ring.item_count, members.__getitem__)
    model = Ensemble.fit(EnsembleConfig(retrievers=("knowing", "other")), fitting)
    assert model.weights_J[0] > 0.1
    assert (model.weights_J >= 0).all()
    assert ndcg_at(rank_targets(model, validation), 10) > 0.99


def test_candidates_carry_the_scores_of_every_member(ring: PreparedData) -> None:
    validation = held_out(ring, Split.VALIDATION)
    members = {"knowing": _Knowing(validation), "other": _Indifferent()}
    fitting = fitting_on(training_sequences(ring), validation, ring.item_count, members.__getitem__)
    model = Ensemble.fit(EnsembleConfig(retrievers=("knowing", "other")), fitting)
    found = retrieve(model, validation.histories, 5)
    assert set(found.parts) == {"knowing", "other"}
    assert found.parts["knowing"].shape == found.items_SK.shape
    true = found.items_SK == validation.targets_S[:, None]
    assert (found.parts["knowing"][true] > found.parts["knowing"][~true].max()).all()


def test_an_ensemble_without_anybody_to_fit_on_is_its_first_retriever(ring: PreparedData) -> None:
    model = Ensemble.fit(
        EnsembleConfig(retrievers=("lrurec",)),
        fitting_on(training_sequences(ring), nothing_held_out(), ring.item_count, lambda _: _Indifferent()),
    )
    assert model.weights_J.tolist() == [1, 0, 0]


def test_an_ensemble_is_fitted_on_repeated_items_where_repeats_are_kept() -> None:
    for repeats in (False, True):
        histories = sequences_of(*[[item, 40] for item in range(1, 11)], repeats=repeats)
        cases = HeldOut(np.arange(10), histories, np.arange(1, 11, dtype=np.int32))
        members = {"other": _Indifferent(), "knowing": _Knowing(cases)}
        config = EnsembleConfig(retrievers=("other", "knowing"))
        model = Ensemble.fit(config, fitting_on(sequences_of([1, 2]), cases, 40, members.__getitem__))
        # Without a validation user whose item is in the pool, the first member alone ranks.
        assert (model.weights_J[1] > 0.1) == repeats


def test_a_retriever_is_built_again_from_its_description() -> None:
    members = [build({"lrurec": {"width": 8}}, 5), build({"sasrec": {"width": 8}}, 5)]
    ensemble = Ensemble(5, EnsembleConfig(neighbours=2, retrievers=("lrurec", "sasrec")), members)
    again = build({"dataset": "games", **describe(ensemble)}, 5)
    again.load_state_dict(ensemble.state_dict())
    histories = sequences_of([1, 2], [3])
    assert retrieve(again, histories, 3).items_SK.tolist() == retrieve(ensemble, histories, 3).items_SK.tolist()


class _Leaning(Retriever):
    """Knows a little: the true item of every validation user stands out of noise, by less than the noise itself."""

    def __init__(self, cases: HeldOut, items: int, strength: float, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.scores_SV = torch.randn(len(cases), items + 1, generator=generator)
        self.scores_SV[np.arange(len(cases)), cases.targets_S] += strength

    def score(self, histories: Sequences, users_B: np.ndarray) -> torch.Tensor:
        return self.scores_SV[users_B].clone()


def test_members_that_know_a_little_count_in_a_catalogue_larger_than_the_pools() -> None:
    generator = np.random.default_rng(0)
    users, items = 400, 1_000
    histories = Sequences(np.ones(users, dtype=np.int32), np.arange(users + 1))
    cases = HeldOut(np.arange(users), histories, generator.integers(2, items, size=users).astype(np.int32))
    members = {"more": _Leaning(cases, items, 2.0, 1), "less": _Leaning(cases, items, 1.0, 2)}
    fitting = fitting_on(histories, cases, items, members.__getitem__)
    model = Ensemble.fit(EnsembleConfig(retrievers=("more", "less")), fitting)
    assert model.weights_J[0] > model.weights_J[1] > 0
    blended = ndcg_at(rank_targets(model, cases), 10)
    assert blended > ndcg_at(rank_targets(members["more"], cases), 10)
