"""The one place where transformers opens folders: quietly, without code, without pickles, without network.

Whatever it finds wrong with a folder becomes one sentence, and what it reports of tensors is looked at: a model of
which a layer is missing would be filled up with random weights.
"""

from __future__ import annotations

import contextlib
import logging
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.model_folders import check_model_folder

# What is said at every load of a configuration or a tokenizer, and besides of weights. Unset, the first would let
# transformers ask on the terminal whether to run a folder's code.
OF_FILES: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
OF_WEIGHTS: dict[str, Any] = {**OF_FILES, "use_safetensors": True}

# Kinds of warnings that no user can act on; tests have none, so that what will change is seen there.
QUIETED: tuple[type[Warning], ...] = (FutureWarning,)
# Advice by its beginning: of peft, on maps that GPT-2 has and on tied heads, which are not adapted here.
_ADVICE = ("fan_in_fan_out is set", "Model has `tie_word_embeddings=True`")
# Of an error of a library so much is shown.
_SHOWN = 200


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep progress bars and advice of transformers, peft and bitsandbytes off the terminal.

    They speak to programmers: of kernels that could be installed, of names that will change. Errors still come through.
    """
    from transformers.utils import logging as transformers_logging

    bitsandbytes = logging.getLogger("bitsandbytes")
    levels = transformers_logging.get_verbosity(), bitsandbytes.level
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    bitsandbytes.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in QUIETED:
                warnings.simplefilter("ignore", category)
            for message in _ADVICE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        transformers_logging.set_verbosity(levels[0])
        transformers_logging.enable_progress_bar()
        bitsandbytes.setLevel(levels[1])


@contextlib.contextmanager
def as_one_sentence(what: str) -> Iterator[None]:
    """Turn whatever a library raises while it opens what others made into a sentence.

    Args:
        what: Subject of the sentence, such as `The base model in FOLDER`.

    Raises:
        LlamaRecError: Instead of any other error.
    """
    try:
        yield
    except LlamaRecError:
        raise
    except BaseException as error:
        # What goes wrong beneath Python in tokenizers comes as an error of its own kind, beside all others.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise LlamaRecError(
            f"{what} cannot be loaded: {_first_line(error)}", "Copy or save it again, or choose another with --base."
        ) from error


def open_tokenizer(folder: Path) -> Any:
    """Open the tokenizer of a base model folder.

    Raises:
        LlamaRecError: The folder is refused, or its tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer

    check_model_folder(folder)
    with quiet_libraries(), as_one_sentence(f"The tokenizer in {folder}"):
        return AutoTokenizer.from_pretrained(folder, **OF_FILES)


def open_model(folder: Path, **options: Any) -> Any:
    """Open the model of a base model folder, with every weight from its files.

    Args:
        folder: A base model folder.
        options: Of transformers, such as `dtype`.

    Raises:
        LlamaRecError: The folder is refused, or its model cannot be loaded, or tensors are missing or left over.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    check_model_folder(folder)
    with quiet_libraries(), as_one_sentence(f"The base model in {folder}"):
        config = AutoConfig.from_pretrained(folder, **OF_FILES)
        if getattr(config, "is_encoder_decoder", False):
            raise LlamaRecError(
                f"The model in {folder} has an encoder beside its decoder, and such models are not read.",
                "Choose another base model with --base.",
            )
        # Tensors of another shape are reported with the others, and refused below, instead of logged as a table.
        told = {"output_loading_info": True, "ignore_mismatched_sizes": True}
        model, found = AutoModelForCausalLM.from_pretrained(folder, **OF_WEIGHTS, **told, **options)
    refuse_other_tensors(f"The base model in {folder}", found)
    return model


def refuse_other_tensors(what: str, found: dict[str, Any]) -> None:
    """Raise unless a library found all tensors that it needs, in their shapes, and no other.

    Args:
        what: Subject of the sentence.
        found: What the library tells: names by `missing_keys`, `mismatched_keys` and `unexpected_keys`, and errors by
            `error_msgs`.

    Raises:
        LlamaRecError: It did not; names one tensor.
    """
    wrongs = {
        "missing_keys": "lacks weights",
        "mismatched_keys": "has weights of another shape than its configuration tells",
        "unexpected_keys": "has weights that its configuration does not know",
        "error_msgs": "has weights that cannot be loaded",
    }
    for key, wrong in wrongs.items():
        names = sorted(_first_line(one[0] if isinstance(one, tuple) else one) for one in found.get(key) or ())
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise LlamaRecError(
                f"{what} {wrong}: {names[0]}{more}.", "Copy or save it again, or choose another with --base."
            )


def _first_line(error: object) -> str:
    """Return the first line of an error that says something, short, without control characters."""
    lines = [line for line in (" ".join(line.split()) for line in str(error).splitlines()) if line]
    # A heading says nothing without what it heads, and a key that is missing says nothing by itself.
    text = " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])
    if not text or isinstance(error, LookupError):
        text = f"{type(error).__name__} {text}".strip()
    plain = "".join(char for char in text if not unicodedata.category(char).startswith("C"))
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}..."
