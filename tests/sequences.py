"""Sequences of item ids written out by hand."""

import numpy as np

from llamarec_cli.data.splits import HeldOut, Sequences


def sequences_of(*sequences: list[int], repeats: bool = False) -> Sequences:
    lengths = [len(sequence) for sequence in sequences]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Sequences(np.array(sum(sequences, []), dtype=np.int32), offsets, repeats)


def nothing_held_out() -> HeldOut:
    return HeldOut(np.empty(0, dtype=np.int64), sequences_of(), np.empty(0, dtype=np.int32))
