import numpy as np
import torch
from sequences import sequences_of

from llamarec_cli.data.splits import HeldOut, Sequences
from llamarec_cli.retrieval.candidates import MISSED, rank_targets, retrieve
from llamarec_cli.retrieval.lrurec import LRURec, LRURecConfig


def model_with_scores(*scores: float) -> LRURec:
    """A model whose score of item i is scores[i - 1], whatever the history."""
    model = LRURec(len(scores), LRURecConfig(width=4)).eval()
    with torch.no_grad():
        model.embedding.weight.zero_()
        model.item_bias.copy_(torch.tensor([9.0, *scores]))
    return model


def ranks(model: LRURec, histories: Sequences, targets: list[int]) -> list[int]:
    cases = HeldOut(np.arange(len(targets)), histories, np.array(targets, dtype=np.int32))
    return rank_targets(model, cases).tolist()


def test_history_and_padding_are_never_candidates() -> None:
    found = retrieve(model_with_scores(5, 4, 3, 2, 1), sequences_of([1, 3], [5]), k=3)
    assert found.items_SK.tolist() == [[2, 4, 5], [1, 2, 3]]
    assert found.scores_SK.tolist() == [[4, 2, 1], [5, 4, 3]]
    assert np.allclose(np.exp(found.log_probabilities()).sum(axis=1), 1)


def test_equal_scores_are_ordered_by_item() -> None:
    assert retrieve(model_with_scores(1, 2, 2, 2), sequences_of([1]), k=3).items_SK.tolist() == [[2, 3, 4]]


def test_a_catalogue_smaller_than_k_is_filled_up_with_nothing() -> None:
    found = retrieve(model_with_scores(3, 2, 1), sequences_of([2]), k=20)
    assert found.items_SK.tolist() == [[1, 3, 0]]
    assert np.isneginf(found.scores_SK[0, 2])


def test_ranks_count_better_items_outside_the_history() -> None:
    model = model_with_scores(5, 4, 3, 2, 1)
    assert ranks(model, sequences_of([1], [1, 2], [5]), [2, 5, 4]) == [1, 3, 4]


def test_a_tie_is_never_in_favour_of_the_target() -> None:
    assert ranks(model_with_scores(1, 1, 1, 1), sequences_of([1]), [2]) == [3]


def test_what_is_not_a_number_is_never_a_hit() -> None:
    assert ranks(model_with_scores(float("nan"), 1, 1, float("nan")), sequences_of([2]), [1])[0] > 3


def test_a_target_in_the_history_is_missed() -> None:
    assert ranks(model_with_scores(5, 4, 3), sequences_of([1, 2]), [1])[0] > 3


def test_where_repeats_are_kept_the_history_is_not_masked_and_the_padding_is() -> None:
    model, histories = model_with_scores(5, 4, 3), sequences_of([1, 2], [3], repeats=True)
    found = retrieve(model, histories, k=5)
    assert found.items_SK.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert ranks(model, histories, [1, 3]) == [1, 3]
    assert ranks(model, sequences_of([1, 2], [3]), [1, 3]) == [MISSED, MISSED]


def test_the_whole_history_is_masked_even_beyond_the_window() -> None:
    model = LRURec(4, LRURecConfig(width=4, max_length=1)).eval()
    assert 1 not in retrieve(model, sequences_of([1, 2]), k=2).items_SK


def test_scoring_in_chunks_changes_nothing(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = LRURec(30, LRURecConfig(width=8)).eval()
    histories = sequences_of(*([user % 30 + 1, (user + 3) % 30 + 1] for user in range(10)))
    whole = retrieve(model, histories, k=5)
    monkeypatch.setattr("llamarec_cli.retrieval.candidates._USERS", 3)
    assert np.array_equal(retrieve(model, histories, k=5).items_SK, whole.items_SK)
