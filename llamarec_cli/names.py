"""Named choices that the command line shares with the rest of the package. Imports no torch, so that help is fast."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from llamarec_cli.errors import UnknownNameError

Choice = TypeVar("Choice", bound=StrEnum)


class Precision(StrEnum):
    """Data type of a base model at inference; NF4 stores the weights in 4 bits and computes in bfloat16."""

    BF16 = "bf16"
    FP16 = "fp16"
    FP32 = "fp32"
    NF4 = "nf4"


class Quantization(StrEnum):
    """Storage format of the frozen base model's weights during training."""

    NF4 = "nf4"
    NONE = "none"


class Repeats(StrEnum):
    """Meaning of interactions with an item that is already in the user's history.

    Attributes:
        KEEP: Users consume items again; items of the history are candidates as all others are.
        CONSECUTIVE: An interaction with the same item as the user's previous interaction is dropped.
        DROP: All but a user's first interaction with an item are dropped.
    """

    KEEP = "keep"
    CONSECUTIVE = "consecutive"
    DROP = "drop"


def parse_precision(name: str | None) -> Precision | None:
    """Return the precision of that name; None for None, which stands for the device's default.

    Raises:
        UnknownNameError: There is no such precision.
    """
    return _parsed(Precision, name, "precision")


def parse_quantization(name: str | None) -> Quantization | None:
    """Return the quantisation of that name; None for None, which stands for the device's default.

    Raises:
        UnknownNameError: There is no such quantisation.
    """
    return _parsed(Quantization, name, "quantisation")


def parse_repeats(name: str | None) -> Repeats | None:
    """Return the meaning of repeats of that name; None for None: nothing is dropped, and the history is masked.

    Raises:
        UnknownNameError: There is no such meaning.
    """
    return _parsed(Repeats, name, "meaning of repeats")


def _parsed(choices: type[Choice], name: str | None, kind: str) -> Choice | None:
    if name is None:
        return None
    try:
        return choices(name)
    except ValueError:
        raise UnknownNameError(name, kind, choices) from None
