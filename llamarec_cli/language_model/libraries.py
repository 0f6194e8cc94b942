"""Calls into transformers and peft: quiet, offline, without remote code or pickles, and with readable errors.

What the libraries report about the tensors they loaded is checked as well, since transformers fills missing layers with
random weights.
"""

from __future__ import annotations

import contextlib
import logging
import unicodedata
import warnings
from collections.abc import Iterator
from typing import Any

from llamarec_cli.errors import LlamaRecError

# Options of every `from_pretrained` call, and those for weights. If `trust_remote_code` were unset, transformers would
# ask on the terminal whether to run a folder's code.
FILE_OPTIONS: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
WEIGHT_OPTIONS: dict[str, Any] = {**FILE_OPTIONS, "use_safetensors": True}

# Warnings that users cannot act on. Tests empty this tuple, so that deprecations fail there.
SILENCED_WARNINGS: tuple[type[Warning], ...] = (FutureWarning,)
# Beginnings of peft's advice on GPT-2's layers and on tied output heads, neither of which applies here.
_ADVICE = ("fan_in_fan_out is set", "Model has `tie_word_embeddings=True`")
# Longest excerpt of a library's error message, in characters.
_MOST_CHARACTERS = 200
_RELOAD_HINT = "Copy or save it again, or choose another base model with `base`."


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Suppress progress bars, logs and advice of transformers, peft and bitsandbytes.

    These address programmers, for instance about optional kernels and future names. Errors still get through.
    """
    from transformers.utils import logging as transformers_logging

    bitsandbytes = logging.getLogger("bitsandbytes")
    levels = transformers_logging.get_verbosity(), bitsandbytes.level
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    bitsandbytes.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in SILENCED_WARNINGS:
                warnings.simplefilter("ignore", category)
            for message in _ADVICE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        transformers_logging.set_verbosity(levels[0])
        transformers_logging.enable_progress_bar()
        bitsandbytes.setLevel(levels[1])


@contextlib.contextmanager
def loading_errors(what: str) -> Iterator[None]:
    """Turn any exception of a library that loads a file into a `LlamaRecError`.

    Args:
        what: Subject of the message, such as `The base model in FOLDER`.

    Raises:
        LlamaRecError: In place of any other exception.
    """
    try:
        yield
    except LlamaRecError:
        raise
    except BaseException as error:
        # tokenizers raises a Rust panic as `PanicException`, which is no subclass of Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise LlamaRecError(f"{what} cannot be loaded: {_first_line(error)}", _RELOAD_HINT) from error


def check_loaded_tensors(what: str, report: dict[str, Any]) -> None:
    """Raise unless a library found exactly the tensors it needs, in the right shapes.

    Args:
        what: Subject of the message.
        report: Loading report of transformers or peft: tensor names under `missing_keys`, `mismatched_keys` and
            `unexpected_keys`, and messages under `error_msgs`.

    Raises:
        LlamaRecError: Something is wrong; the message names one tensor.
    """
    faults = {
        "missing_keys": "lacks weights",
        "mismatched_keys": "has weights of another shape than its configuration requires",
        "unexpected_keys": "has weights that its configuration does not use",
        "error_msgs": "has weights that cannot be loaded",
    }
    for key, fault in faults.items():
        names = sorted(_first_line(one[0] if isinstance(one, tuple) else one) for one in report.get(key) or ())
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise LlamaRecError(f"{what} {fault}: {names[0]}{more}.", _RELOAD_HINT)


def _first_line(error: object) -> str:
    """Return the first informative line of an error, shortened, without control characters."""
    lines = [line for line in (" ".join(line.split()) for line in str(error).splitlines()) if line]
    # A heading is not informative without the line below it, nor is a missing key without the type of the error.
    text = " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])
    if not text or isinstance(error, LookupError):
        text = f"{type(error).__name__} {text}".strip()
    plain = "".join(char for char in text if not unicodedata.category(char).startswith("C"))
    return plain if len(plain) <= _MOST_CHARACTERS else f"{plain[:_MOST_CHARACTERS]}..."
