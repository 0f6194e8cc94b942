"""Leave-one-out splits (paper, section 4.0.3): last item for test, second last for validation, rest for training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from llamarec_cli.data.dataset import PreparedData

# A shorter sequence leaves nothing to train on once two items are held out.
MIN_EVALUATED_LENGTH = 3


class Split(StrEnum):
    """The held-out item to predict."""

    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Sequences:
    """Item sequences in compressed sparse row form.

    Attributes:
        items_N: Item ids of all sequences, concatenated; int32.
        offsets_S: Start of each sequence; S + 1 entries; int64.
        repeats: Whether users consume items again, as in `PreparedData`. Otherwise items of a history are masked.
    """

    items_N: npt.NDArray[np.int32]
    offsets_S: npt.NDArray[np.int64]
    repeats: bool = False

    @classmethod
    def of(cls, sequences: Iterable[npt.NDArray[np.int32]], *, repeats: bool) -> Sequences:
        """Return separate sequences, of which there is at least one, in compressed sparse row form."""
        parts = list(sequences)
        return cls(np.concatenate(parts), np.cumsum([0, *map(len, parts)]), repeats)

    def __len__(self) -> int:
        return len(self.offsets_S) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        return self.items_N[self.offsets_S[index] : self.offsets_S[index + 1]]

    def subset(self, chosen: npt.NDArray[np.int64]) -> Sequences:
        """Return some of the sequences, in the order given."""
        begins, ends = self.offsets_S[chosen], self.offsets_S[np.asarray(chosen) + 1]
        offsets = np.concatenate([[0], np.cumsum(ends - begins)]).astype(np.int64)
        positions = np.arange(offsets[-1]) + np.repeat(begins - offsets[:-1], ends - begins)
        return Sequences(self.items_N[positions], offsets, self.repeats)


@dataclass(frozen=True)
class HeldOut:
    """Histories and next items of the evaluated users of one split.

    Attributes:
        users_S: Index of the user in the prepared data; int64.
        histories: Items before the target; S sequences.
        targets_S: The held-out next item; int32.
    """

    users_S: npt.NDArray[np.int64]
    histories: Sequences
    targets_S: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.targets_S)

    def masked_share(self) -> float:
        """Return the share of targets that are masked, since they are in the user's own history."""
        if self.histories.repeats or not len(self):
            return 0.0
        owners_N = np.repeat(np.arange(len(self)), np.diff(self.histories.offsets_S))
        masked_N = self.histories.items_N == self.targets_S[owners_N]
        return len(np.unique(owners_N[masked_N])) / len(self)

    def of_users(self, users: npt.NDArray[np.int64]) -> HeldOut:
        """Return the cases of some users, by their index in this split."""
        return HeldOut(self.users_S[users], self.histories.subset(users), self.targets_S[users])


def training_sequences(data: PreparedData) -> Sequences:
    """Return each user's sequence without its two held-out items.

    A sequence shorter than `MIN_EVALUATED_LENGTH` is not evaluated, so all of it is used for training.
    """
    return _truncated(data, np.arange(data.user_count), held_out=2)


def held_out(data: PreparedData, split: Split) -> HeldOut:
    """Return the cases of one split, for users of at least `MIN_EVALUATED_LENGTH` interactions.

    Test histories include the validation item, as in the paper's code, since it precedes the test item.
    """
    back = 2 if split is Split.VALIDATION else 1
    lengths = np.diff(data.offsets_U)
    users = np.flatnonzero(lengths >= MIN_EVALUATED_LENGTH)
    targets = data.items_N[data.offsets_U[users + 1] - back]
    return HeldOut(users, _truncated(data, users, held_out=back), targets)


def _truncated(data: PreparedData, users_S: npt.NDArray[np.int64], held_out: int) -> Sequences:
    begins, ends = data.offsets_U[users_S], data.offsets_U[users_S + 1]
    ends = np.where(ends - begins >= MIN_EVALUATED_LENGTH, ends - held_out, ends)
    offsets = np.concatenate([[0], np.cumsum(ends - begins)]).astype(np.int64)
    positions = np.arange(offsets[-1]) + np.repeat(begins - offsets[:-1], ends - begins)
    return Sequences(data.items_N[positions], offsets, data.repeats)
