import numpy as np
import pytest
import torch
from sequences import sequences_of

from llamarec_cli.retrieval.neighbours import Neighbours, most_recent


def test_pairs_count_by_nearness_and_by_rarity() -> None:
    table = Neighbours(4, neighbours=3)
    table.count(sequences_of([1, 2, 3], [1, 3], [4]), window=2, directed=False)
    # 1 and 3: at distance 2 once and 1 once; each occurs twice.
    assert table.items_VN[1].tolist() == [3, 2, 0]
    assert table.weights_VN[1].tolist() == pytest.approx([1.5 / 2, 1 / np.sqrt(2), 0])
    assert table.items_VN[4].tolist() == [0, 0, 0]


def test_a_directed_pair_counts_for_the_earlier_item_alone() -> None:
    table = Neighbours(3, neighbours=2)
    table.count(sequences_of([1, 2, 2, 3]), window=1, directed=True)
    assert table.items_VN.tolist() == [[0, 0], [2, 0], [3, 0], [0, 0]]


def test_only_the_strongest_neighbours_are_kept() -> None:
    table = Neighbours(4, neighbours=1)
    table.count(sequences_of([1, 2, 3, 4]), window=3, directed=False)
    assert table.items_VN[1:].tolist() == [[2], [1], [2], [3]]


def test_neighbours_of_recent_items_add_up() -> None:
    table = Neighbours(3, neighbours=2)
    table.count(sequences_of([1, 2], [2, 3]), window=1, directed=False)
    scores = table.score(torch.tensor([[1, 3], [2, 0]]), torch.tensor([[1.0, 0.5], [1.0, 0.0]]))
    half = 1 / np.sqrt(2)
    assert scores[:, 1:].tolist() == pytest.approx(np.array([[0, 1.5 * half, 0], [half, 0, half]]))


def test_the_most_recent_items_come_first() -> None:
    assert most_recent(sequences_of([1, 2, 3], [4]), np.array([0, 1]), 2).tolist() == [[3, 2], [4, 0]]
