"""The prepared data set: a flat array of item ids with an offset for each user, and the vocabulary.

Preprocessing follows the paper, section 4.0.1: items without a title are dropped, then the iterative 5-core is taken.
It is deterministic: ids follow the sorted order of raw ids, and interactions of equal time keep the order of the file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from llamarec_cli.data.raw_ids import disagreement
from llamarec_cli.data.readers import RawLog
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.names import Repeats

INTERACTIONS_FILE = "interactions.safetensors"
ITEMS_FILE = "items.jsonl"
USERS_FILE = "users.jsonl"

# Metadata of the interactions file where repeats are kept. It is part of the file, and so of the digest.
_REPEATS = {"repeats": str(Repeats.KEEP)}

# The paper's 5-core (section 4.0.1).
DEFAULT_MIN_COUNT = 5


@dataclass(frozen=True)
class PreparedData:
    """Chronological sequence of item ids for each user, in compressed sparse row form.

    Attributes:
        items_N: Item ids of all users, concatenated; N interactions; int32, from 1 (0 is padding).
        offsets_U: Start of each user's sequence; U + 1 entries; int64.
        timestamps_N: Seconds since 1970; int64; None if the source has no times.
        user_ids: Raw id of each user; U entries, sorted.
        item_ids: Raw id of each item, sorted; index 0 is padding, an empty text.
        titles: Title of each item; index 0 is padding, an empty text.
        repeats: Whether users consume items again, so that items of the history are candidates too.
    """

    items_N: npt.NDArray[np.int32]
    offsets_U: npt.NDArray[np.int64]
    timestamps_N: npt.NDArray[np.int64] | None
    user_ids: list[str]
    item_ids: list[str]
    titles: list[str]
    repeats: bool = False

    @property
    def user_count(self) -> int:
        """Number of users, U."""
        return len(self.user_ids)

    @property
    def item_count(self) -> int:
        """Number of items, without the padding."""
        return len(self.item_ids) - 1

    @property
    def interaction_count(self) -> int:
        """Number of interactions, N."""
        return len(self.items_N)

    @property
    def mean_length(self) -> float:
        """Mean length of a user's sequence, in interactions."""
        return self.interaction_count / self.user_count

    @property
    def density(self) -> float:
        """Share of user-item pairs that are observed."""
        return self.interaction_count / (self.user_count * self.item_count)

    def popularity(self) -> npt.NDArray[np.int64]:
        """Count the interactions of each item; item_count + 1 entries."""
        return np.bincount(self.items_N, minlength=self.item_count + 1)

    def repeated_next_items(self) -> int:
        """Count the interactions with an item already in the user's history, which are missed where it is masked."""
        users_N = np.repeat(np.arange(self.user_count), np.diff(self.offsets_U))
        return self.interaction_count - len(np.unique(users_N * (self.item_count + 1) + self.items_N))

    def of_users(self, users: npt.NDArray[np.int64]) -> PreparedData:
        """Return the data of some users, given by index, in the existing order and with the whole vocabulary."""
        lengths_U = np.diff(self.offsets_U)
        kept_U = np.isin(np.arange(self.user_count), users)
        kept_N = np.repeat(kept_U, lengths_U)
        return replace(
            self,
            items_N=self.items_N[kept_N],
            offsets_U=np.concatenate([[0], np.cumsum(lengths_U[kept_U])]).astype(np.int64),
            timestamps_N=None if self.timestamps_N is None else self.timestamps_N[kept_N],
            user_ids=[self.user_ids[user] for user in np.flatnonzero(kept_U)],
        )

    def vocabulary_digest(self) -> str:
        """Return the SHA-256 of the vocabulary file; data sets with equal digests have the same item ids."""
        return hashlib.sha256(_items_as_lines(self).encode()).hexdigest()


def prepare(log: RawLog, *, min_count: int = DEFAULT_MIN_COUNT, repeats: bool = False) -> PreparedData:
    """Build sequences from a raw log.

    Args:
        log: The raw log.
        min_count: The k of the k-core: the least number of interactions of each user and each item.
        repeats: Whether users consume items again.

    Raises:
        LlamaRecError: No interaction is left.
    """
    titles = log.titles.filter(pl.col("title").str.strip_chars() != "").unique(
        "item", keep="first", maintain_order=True
    )
    titled = log.interactions.join(titles.select("item"), on="item", how="semi", maintain_order="left")
    core = k_core(titled, min_count)
    if core.is_empty():
        raise LlamaRecError(
            f"No interaction is left: {titled.height:,} of {log.interactions.height:,} have an item with a title, and "
            f"the {min_count}-core of these is empty.",
            _hint_if_empty(log, titles, titled.height, min_count),
        )
    ordered = core.sort("user", "time", maintain_order=True)
    users = ordered["user"].unique().sort()
    items = ordered["item"].unique().sort()
    title_of = dict(titles.iter_rows())
    item_number = pl.DataFrame({"item": items, "number": np.arange(1, len(items) + 1, dtype=np.int32)})
    numbers = ordered.join(item_number, on="item", how="left", maintain_order="left")["number"]
    # `ordered` is sorted by user, so the counts in order of appearance are the sequence lengths.
    lengths = ordered.group_by("user", maintain_order=True).len()["len"].to_numpy()
    return PreparedData(
        items_N=numbers.to_numpy().astype(np.int32),
        offsets_U=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        timestamps_N=ordered["time"].to_numpy().astype(np.int64) if log.has_timestamps else None,
        user_ids=users.to_list(),
        item_ids=["", *items.to_list()],
        titles=["", *(title_of[item].strip() for item in items)],
        repeats=repeats,
    )


def _hint_if_empty(log: RawLog, titles: pl.DataFrame, titled: int, min_count: int) -> str:
    """Return the hint for an empty result, by its cause: no rows, item ids that do not match, or too few rows."""
    if log.interactions.is_empty():
        return "Check the file and the filters."
    if titled < log.interactions.height / 2 and (clause := disagreement(log.interactions, titles)):
        return f"Make the item ids of interactions and titles match: {clause}."
    return f"Prepare a larger log, or lower `min_count` from {min_count}."


def k_core(interactions: pl.DataFrame, minimum: int) -> pl.DataFrame:
    """Drop users and items with fewer than `minimum` interactions, repeatedly, until none is left to drop."""
    while True:
        kept = interactions.filter((pl.len().over("user") >= minimum) & (pl.len().over("item") >= minimum))
        if kept.height == interactions.height:
            return kept
        interactions = kept


def save_prepared(data: PreparedData, folder: Path) -> None:
    """Write the three files of a data set; equal data gives equal bytes."""
    tensors: dict[str, npt.NDArray[np.int32] | npt.NDArray[np.int64]] = {
        "items": data.items_N,
        "offsets": data.offsets_U,
    }
    if data.timestamps_N is not None:
        tensors["timestamps"] = data.timestamps_N
    save_file(tensors, folder / INTERACTIONS_FILE, metadata=_REPEATS if data.repeats else None)
    (folder / ITEMS_FILE).write_text(_items_as_lines(data), encoding="utf-8")
    (folder / USERS_FILE).write_text("".join(f"{json.dumps(user)}\n" for user in data.user_ids), encoding="utf-8")


def load_prepared(folder: Path) -> PreparedData:
    """Read a data set written by `save_prepared`."""
    tensors = load_file(folder / INTERACTIONS_FILE)
    with safe_open(folder / INTERACTIONS_FILE, framework="numpy") as opened:
        metadata = opened.metadata()
    items = [json.loads(line) for line in (folder / ITEMS_FILE).read_text(encoding="utf-8").splitlines()]
    users = [json.loads(line) for line in (folder / USERS_FILE).read_text(encoding="utf-8").splitlines()]
    return PreparedData(
        items_N=tensors["items"],
        offsets_U=tensors["offsets"],
        timestamps_N=tensors.get("timestamps"),
        user_ids=users,
        item_ids=["", *(item["id"] for item in items)],
        titles=["", *(item["title"] for item in items)],
        repeats=metadata == _REPEATS,
    )


def _items_as_lines(data: PreparedData) -> str:
    pairs = zip(data.item_ids[1:], data.titles[1:], strict=True)
    return "".join(f"{json.dumps({'id': item, 'title': title})}\n" for item, title in pairs)
