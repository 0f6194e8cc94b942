"""Checks of untrusted model and adapter folders, before any library opens a file in them.

transformers and peft take more from a folder than tensors: code, which they import; pickles, which run code when they
are opened; names of other folders; names of kernels to download. A folder that asks for any of this is refused,
whatever the libraries would make of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.catalogue import OTHER_BASE_HINT
from llamarec_cli.language_model.weight_files import check_config_fits_weights, tensor_shapes

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
# peft's file names.
ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"

# Suffixes of files that the libraries read and that contain neither code nor pickles.
_READABLE = frozenset({".json", ".safetensors", ".model", ".txt", ".jinja", ".tiktoken", ".spm", ".bpe"})
_CODE = frozenset({".py", ".pyc", ".pyd", ".so"})
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_OTHER_WEIGHTS = frozenset({".gguf", ".h5", ".msgpack", ".npz", ".onnx", ".mlmodel"})
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "*.tiktoken", "*.spm")
# Large JSON files that contain a vocabulary and no settings that matter here.
_VOCABULARIES = frozenset({"tokenizer.json", "vocab.json"})
# Settings that make transformers import code, or load weights from a file of any format.
_CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "custom_generate"})
_WEIGHT_KEYS = frozenset({"transformers_weights"})
# Built-in implementations of attention and experts. Any other name is that of a kernel to download.
_IMPLEMENTATIONS = frozenset({"eager", "sdpa", "flash_attention_2", "flex_attention", "grouped_mm", "batched_mm"})
_MOST_JSON_BYTES = 64 * 2**20

_SAVE_HINT = "Save model and tokenizer with save_pretrained() of classes that are part of transformers."
_COPY_HINT = "Copy the folder again."


def model_files(folder: Path) -> list[Path]:
    """Return the files of a base model folder that may be read, sorted by name; neither code nor pickles."""
    return sorted(path for path in folder.iterdir() if path.suffix in _READABLE and not path.name.startswith("."))


def check_model_folder(folder: Path) -> dict[str, Any]:
    """Check a base model folder, and return the model's configuration.

    Args:
        folder: Must contain config.json, model.safetensors (or its shards and their index) and a tokenizer.

    Raises:
        LlamaRecError: A file is missing or of another format, or the folder contains code or refers to files or code
            outside it.
    """
    with _access_errors(folder):
        return _checked_model_folder(folder)


def _checked_model_folder(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG_FILE).is_file():
        _refuse(f"{folder} is not a base model folder: it has no {CONFIG_FILE}.", _SAVE_HINT)
    _check_files(folder)
    if (folder / ADAPTER_CONFIG_FILE).exists():
        _refuse(f"The folder {folder} contains an adapter ({ADAPTER_CONFIG_FILE}), not only a base model.", _SAVE_HINT)
    for path in model_files(folder):
        if path.suffix == ".json" and path.name not in _VOCABULARIES:
            _check_settings(path, read_json(path))
    weights = _weight_files(folder)
    if not any(next(folder.glob(pattern), None) for pattern in _TOKENIZERS):
        _refuse(f"The folder {folder} contains no tokenizer, such as tokenizer.json.", _SAVE_HINT)
    config = read_json(folder / CONFIG_FILE)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        _refuse(f"{CONFIG_FILE} in {folder} has no model_type.", _SAVE_HINT)
    if config.get("is_encoder_decoder"):
        _refuse(f"The model in {folder} is an encoder-decoder, which is not supported.", OTHER_BASE_HINT)
    check_config_fits_weights(weights, config, folder)
    return dict(config)


def check_adapter_folder(folder: Path) -> dict[str, Any]:
    """Check an adapter folder, and return the adapter's configuration.

    Args:
        folder: Must contain adapter_config.json and adapter_model.safetensors.

    Raises:
        LlamaRecError: A file is missing or damaged, or the folder contains code.
    """
    with _access_errors(folder):
        for name in (ADAPTER_CONFIG_FILE, ADAPTER_FILE):
            if not (folder / name).is_file():
                _refuse(f"The folder {folder} contains no adapter in safetensors format: {name} is missing.", None)
        _check_files(folder)
        config = read_json(folder / ADAPTER_CONFIG_FILE)
        _check_settings(folder / ADAPTER_CONFIG_FILE, config)
        tensor_shapes(folder / ADAPTER_FILE)
    if not isinstance(config, dict):
        _refuse(f"{ADAPTER_CONFIG_FILE} in {folder} is not the configuration of an adapter.", None)
    return dict(config)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        LlamaRecError: The file is too large or not JSON.
    """
    if path.stat().st_size > _MOST_JSON_BYTES:
        _refuse(f"{path.name} in {path.parent} is larger than {_MOST_JSON_BYTES >> 20} MiB.", OTHER_BASE_HINT)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        _refuse(f"{path.name} in {path.parent} is not valid JSON.", _SAVE_HINT)


def _refuse(sentence: str, hint: str | None) -> NoReturn:
    raise LlamaRecError(sentence, hint)


@contextmanager
def _access_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError into a `LlamaRecError`."""
    try:
        yield
    except OSError as error:
        _refuse(f"The folder {folder} cannot be read ({error.strerror or error}).", OTHER_BASE_HINT)


def _check_files(folder: Path) -> None:
    """Raise if a folder contains code, or something that would be opened and is not a regular file, such as a pipe."""
    for path in [*sorted(folder.iterdir()), *sorted(folder.glob("*/*"))]:
        if path.suffix in _CODE:
            name = path.relative_to(folder)
            _refuse(f"The folder {folder} contains code ({name}), and no code of a model is ever run.", OTHER_BASE_HINT)
    for path in model_files(folder):
        if not path.is_file():
            _refuse(f"{path.name} in {folder} is not a regular file.", OTHER_BASE_HINT)


def _weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that transformers loads, all of which must be in this folder."""
    whole, index = folder / WEIGHTS_FILE, folder / INDEX_FILE
    if whole.is_file():
        return [whole]
    if index.is_file():
        parts = read_json(index)
        named = parts.get("weight_map") if isinstance(parts, dict) else None
        files = list(named.values()) if isinstance(named, dict) else []
        if not files or not all(isinstance(file, str) for file in files):
            _refuse(f"{INDEX_FILE} in {folder} does not map weights to files.", _SAVE_HINT)
        for file in sorted(set(files)):
            if Path(file).name != file or not file.endswith(".safetensors"):
                _refuse(
                    f"{INDEX_FILE} in {folder} refers to a file in another folder or format: {file}.",
                    _SAVE_HINT,
                )
            if not (folder / file).is_file():
                _refuse(f"A shard of the weights is missing in {folder}: {file}.", _COPY_HINT)
        return [folder / file for file in sorted(set(files))]
    for suffixes, form in ((_PICKLES, "a pickle, which can run code"), (_OTHER_WEIGHTS, "an unsupported format")):
        for path in sorted(folder.iterdir()):
            if path.suffix in suffixes:
                _refuse(
                    f"{path.name} in {folder} is {form}; weights must be in safetensors format.",
                    "Convert it with save_pretrained(), and pass the new folder as `base`.",
                )
    _refuse(f"{folder} is not a base model folder: it has no {WEIGHTS_FILE} or {INDEX_FILE}.", _SAVE_HINT)


def _check_settings(path: Path, content: Any) -> None:
    """Raise if a JSON file refers to code, to a file of weights, or to an implementation that would be downloaded."""
    for key, value in _settings(content):
        if key in _CODE_KEYS and value:
            _refuse(f"{path.name} in {path.parent} refers to code in {key}, which is never run.", _SAVE_HINT)
        if key in _WEIGHT_KEYS and value:
            _refuse(f"{path.name} in {path.parent} names a file of weights in {key}; none is read.", _SAVE_HINT)
        names = list(value.values()) if isinstance(value, dict) else [value]
        if key.endswith(("_implementation", "_implementation_internal")) and not _IMPLEMENTATIONS.issuperset(
            str(name) for name in names if name is not None
        ):
            _refuse(
                f"{path.name} in {path.parent} names an implementation from elsewhere in {key}.",
                _SAVE_HINT,
            )


def _settings(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a JSON document with its value, at any depth."""
    stack = [content]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield from value.items()
            stack += value.values()
        elif isinstance(value, list):
            stack += value
