"""Item-to-item counts: co-occurrence and transition in sequences.

Only the strongest neighbours of each item are kept, so a table takes V x N memory instead of V x V, and scoring is a
gather.

Shapes: V items + padding, N neighbours, B users, M most recent items of a history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor, nn

from llamarec_cli.data.splits import Sequences


@dataclass(frozen=True)
class CountsConfig:
    """How item pairs are counted and scored.

    Attributes:
        neighbours: Number of neighbours kept per item.
        window: Maximum distance of a counted pair, in positions.
        recent: Number of most recent items of a history whose neighbours are scored.
        decay: Factor by which each older one of them is weighted less.
    """

    neighbours: int = 100
    window: int = 50
    recent: int = 20
    decay: float = 0.8

    def __post_init__(self) -> None:
        if min(self.neighbours, self.window, self.recent) < 1:
            raise ValueError("neighbours, window and recent must be at least 1")
        if not 0 < self.decay <= 1:
            raise ValueError("decay must be above 0 and at most 1")


class ItemCounts(nn.Module):
    """Co-occurrence and transition counts of a catalogue.

    Args:
        item_count: Number of items, without the padding.
        config: How item pairs are counted and scored.
    """

    def __init__(self, item_count: int, config: CountsConfig) -> None:
        super().__init__()
        self.config = config
        self.together = Neighbours(item_count, config.neighbours)
        self.following = Neighbours(item_count, config.neighbours)

    def count(self, sequences: Sequences) -> None:
        """Fill both tables from training sequences."""
        self.together.count(sequences, window=self.config.window, directed=False)
        self.following.count(sequences, window=self.config.window, directed=True)

    def score(self, histories: Sequences, users_B: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return the co-occurrence and the transition score of every item for some users, B x V each.

        A score is log(1 + c / m): c is the summed weight of an item as neighbour of recent items, m the mean of the
        user's values of c above 0.
        """
        recent_BM = torch.from_numpy(most_recent(histories, users_B, self.config.recent))
        recent_BM = recent_BM.to(self.together.items_VN.device)
        importance_M = self.config.decay ** torch.arange(self.config.recent, device=recent_BM.device)
        importance_BM = importance_M * (recent_BM > 0)
        return (
            _compressed(self.together.score(recent_BM, importance_BM)),
            _compressed(self.following.score(recent_BM, importance_BM)),
        )


class Neighbours(nn.Module):
    """The strongest neighbours of every item.

    Args:
        item_count: Number of items, without the padding.
        neighbours: N; an item with fewer is padded with item 0 of weight 0.
    """

    items_VN: Tensor
    weights_VN: Tensor

    def __init__(self, item_count: int, neighbours: int) -> None:
        super().__init__()
        self.register_buffer("items_VN", torch.zeros(item_count + 1, neighbours, dtype=torch.int32))
        self.register_buffer("weights_VN", torch.zeros(item_count + 1, neighbours))

    def count(self, sequences: Sequences, *, window: int, directed: bool) -> None:
        """Fill the table from training sequences.

        A pair of items at most `window` positions apart adds 1 / distance. The sum is divided by the square root of the
        product of both items' frequencies, so that popular items are not neighbours of every item.

        Args:
            sequences: Training part of every user's sequence.
            window: Maximum distance in positions.
            directed: Whether only the later item becomes a neighbour of the earlier one, and not the reverse.
        """
        neighbours = self.items_VN.shape[1]
        strongest = (
            _pairs(sequences, window, directed)
            .group_by("item", "other")
            .agg(pl.col("count").sum())
            .sort("item", "count", "other", descending=[False, True, False])
        )
        frequency_V = np.bincount(sequences.items_N, minlength=len(self.items_VN)).astype(np.float64)
        item, other = strongest["item"].to_numpy(), strongest["other"].to_numpy()
        weight = strongest["count"].to_numpy() / np.sqrt(frequency_V[item] * frequency_V[other])
        order = np.lexsort((other, -weight, item))
        item, other, weight = item[order], other[order], weight[order]
        place = np.arange(len(item)) - np.searchsorted(item, item)
        kept = place < neighbours
        self.items_VN[item[kept], place[kept]] = torch.from_numpy(other[kept].astype(np.int32))
        self.weights_VN[item[kept], place[kept]] = torch.from_numpy(weight[kept].astype(np.float32))

    def score(self, recent_BM: Tensor, importance_BM: Tensor) -> Tensor:
        """Sum the weights of the neighbours of recent items.

        Args:
            recent_BM: Item ids; 0 where a history is shorter.
            importance_BM: Weight of each of them.

        Returns:
            B x V.
        """
        batch = len(recent_BM)
        weights_BK = (self.weights_VN[recent_BM] * importance_BM.unsqueeze(2)).reshape(batch, -1)
        items_BK = self.items_VN[recent_BM].reshape(batch, -1).long()
        return weights_BK.new_zeros(batch, len(self.items_VN)).scatter_add_(1, items_BK, weights_BK)


def _pairs(sequences: Sequences, window: int, directed: bool) -> pl.DataFrame:
    """Return every pair of different items at most `window` positions apart in a sequence."""
    items = sequences.items_N
    owners = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets_S))
    longest = int(np.diff(sequences.offsets_S).max(initial=0))
    frames = []
    for distance in range(1, min(window, longest - 1) + 1):
        together = owners[distance:] == owners[:-distance]
        earlier, later = items[:-distance][together], items[distance:][together]
        for one, other in ((earlier, later),) if directed else ((earlier, later), (later, earlier)):
            different = one != other
            frames.append(pl.DataFrame({"item": one[different], "other": other[different], "count": 1 / distance}))
    empty = pl.DataFrame(schema={"item": pl.Int32, "other": pl.Int32, "count": pl.Float64})
    return pl.concat([empty, *frames])


def most_recent(histories: Sequences, users_B: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return the last `count` items of some histories, latest first, B x M; 0 where a history is shorter."""
    begins, ends = histories.offsets_S[users_B], histories.offsets_S[users_B + 1]
    places_BM = ends[:, None] - 1 - np.arange(count)
    recent_BM = np.where(places_BM >= begins[:, None], histories.items_N[np.maximum(places_BM, 0)], 0)
    return recent_BM.astype(np.int64)


def _compressed(counts_BV: Tensor) -> Tensor:
    """Return log(1 + count / mean of the user's counts above 0)."""
    means_B1 = counts_BV.sum(1, keepdim=True) / (counts_BV > 0).sum(1, keepdim=True).clamp(min=1)
    return torch.log1p(counts_BV / means_B1.clamp(min=torch.finfo(counts_BV.dtype).tiny))
