"""Folders that others made: what a base model or an adapter may hold, looked at before any library opens a file.

transformers and peft take more from a folder than tensors: code that they import, weights in pickles, which run code
when they are opened, names of other folders and of kernels to fetch. None of this is wanted here, so a folder that
asks for any of it is refused by a sentence, whatever the libraries would make of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.weight_files import check_size, tensor_shapes

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
# As peft calls them.
ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"

# Forms of files that the libraries read of a folder without code and pickles.
_READ = frozenset({".json", ".safetensors", ".model", ".txt", ".jinja", ".tiktoken", ".spm", ".bpe"})
_CODE = frozenset({".py", ".pyc", ".pyd", ".so"})
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_OTHER_WEIGHTS = frozenset({".gguf", ".h5", ".msgpack", ".npz", ".onnx", ".mlmodel"})
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "*.tiktoken", "*.spm")
# Files that hold nothing but a vocabulary: large, and without any setting.
_VOCABULARIES = frozenset({"tokenizer.json", "vocab.json"})
# Settings that make transformers import code, or take weights from a file of any form.
_CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "custom_generate"})
_WEIGHT_KEYS = frozenset({"transformers_weights"})
# Attention and experts that transformers has itself; any other name is one of code to fetch.
_IMPLEMENTATIONS = frozenset({"eager", "sdpa", "flash_attention_2", "flex_attention", "grouped_mm", "batched_mm"})
_MOST_JSON_BYTES = 64 * 2**20

_ANOTHER = "Choose another base model with --base."
_SAVE = "Save it with save_pretrained() of a class that transformers has itself, its tokenizer too."


def model_files(folder: Path) -> list[Path]:
    """Return the files of a base model folder that may be read, in order of their names; no code, and no pickle."""
    return sorted(path for path in folder.iterdir() if path.suffix in _READ and not path.name.startswith("."))


def check_model_folder(folder: Path) -> dict[str, Any]:
    """Check what a base model folder holds, and return its configuration.

    Args:
        folder: The folder; config.json, model.safetensors (or its parts and their index) and a tokenizer are needed.

    Raises:
        LlamaRecError: Something is missing or of another form, or it brings code, or asks for what is outside it.
    """
    with _readable(folder):
        return _checked_model_folder(folder)


def _checked_model_folder(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG_FILE).is_file():
        _refuse(f"The folder {folder} holds no model: {CONFIG_FILE} and *.safetensors are looked for.", _SAVE)
    _check_forms(folder)
    if (folder / ADAPTER_CONFIG_FILE).exists():
        _refuse(f"The folder {folder} holds an adapter beside or instead of a model: {ADAPTER_CONFIG_FILE}.", _SAVE)
    for path in model_files(folder):
        if path.suffix == ".json" and path.name not in _VOCABULARIES:
            _check_settings(path, read_json(path))
    weights = _weights(folder)
    if not any(next(folder.glob(pattern), None) for pattern in _TOKENIZERS):
        _refuse(f"The folder {folder} holds no tokenizer: tokenizer.json is looked for.", _SAVE)
    config = read_json(folder / CONFIG_FILE)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        _refuse(f"{CONFIG_FILE} in {folder} does not tell the type of a model.", _SAVE)
    if config.get("is_encoder_decoder"):
        _refuse(f"The model in {folder} has an encoder beside its decoder, and such models are not read.", _ANOTHER)
    check_size(weights, config, folder)
    return dict(config)


def check_adapter_folder(folder: Path) -> dict[str, Any]:
    """Check what an adapter's folder holds, and return the adapter's configuration.

    Args:
        folder: The folder; adapter_config.json and adapter_model.safetensors are needed.

    Raises:
        LlamaRecError: One of them is missing or damaged, or it brings code.
    """
    with _readable(folder):
        for name in (ADAPTER_CONFIG_FILE, ADAPTER_FILE):
            if not (folder / name).is_file():
                _refuse(f"The folder {folder} holds no adapter in safetensors: {name} is missing.", None)
        _check_forms(folder)
        config = read_json(folder / ADAPTER_CONFIG_FILE)
        _check_settings(folder / ADAPTER_CONFIG_FILE, config)
        tensor_shapes(folder / ADAPTER_FILE)
    if not isinstance(config, dict):
        _refuse(f"{ADAPTER_CONFIG_FILE} in {folder} is not the configuration of an adapter.", None)
    return dict(config)


def read_json(path: Path) -> Any:
    """Return what a JSON file of a model folder holds.

    Raises:
        LlamaRecError: It is too large or no JSON.
    """
    if path.stat().st_size > _MOST_JSON_BYTES:
        _refuse(f"{path.name} in {path.parent} has more than {_MOST_JSON_BYTES >> 20} MB.", _ANOTHER)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        _refuse(f"{path.name} in {path.parent} is not a JSON text that can be read.", _SAVE)


def _refuse(sentence: str, hint: str | None) -> NoReturn:
    raise LlamaRecError(sentence, hint)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a sentence."""
    try:
        yield
    except OSError as error:
        _refuse(f"The folder {folder} cannot be read ({error.strerror or error}).", _ANOTHER)


def _check_forms(folder: Path) -> None:
    """Raise if a folder brings code, or files that are none, such as pipes, under names that would be opened."""
    for path in [*sorted(folder.iterdir()), *sorted(folder.glob("*/*"))]:
        if path.suffix in _CODE:
            name = path.relative_to(folder)
            _refuse(f"The folder {folder} brings code, {name}, and no code of a model is run.", _ANOTHER)
    for path in model_files(folder):
        if not path.is_file():
            _refuse(f"{path.name} in {folder} is not a file.", _ANOTHER)


def _weights(folder: Path) -> list[Path]:
    """Return the files of the weights: safetensors, under names that transformers looks for, and in this folder."""
    whole, index = folder / WEIGHTS_FILE, folder / INDEX_FILE
    if whole.is_file():
        return [whole]
    if index.is_file():
        parts = read_json(index)
        named = parts.get("weight_map") if isinstance(parts, dict) else None
        files = list(named.values()) if isinstance(named, dict) else []
        if not files or not all(isinstance(file, str) for file in files):
            _refuse(f"{INDEX_FILE} in {folder} does not tell which file holds which weight.", _SAVE)
        for file in sorted(set(files)):
            if Path(file).name != file or not file.endswith(".safetensors"):
                _refuse(f"{INDEX_FILE} in {folder} names weights that are no safetensors beside it: {file}.", _SAVE)
            if not (folder / file).is_file():
                _refuse(f"The folder {folder} lacks a part of the weights: {file}.", "Copy it again, as a whole.")
        return [folder / file for file in sorted(set(files))]
    for forms, what in ((_PICKLES, "a pickle, which may run code"), (_OTHER_WEIGHTS, "another form")):
        for path in sorted(folder.iterdir()):
            if path.suffix in forms:
                _refuse(
                    f"The folder {folder} has its weights in {what}, {path.name}; only safetensors are read.",
                    "Convert it with save_pretrained(), and give that folder with --base.",
                )
    _refuse(f"The folder {folder} holds no model: {WEIGHTS_FILE} or {INDEX_FILE} is looked for.", _SAVE)


def _check_settings(path: Path, content: Any) -> None:
    """Raise if a JSON text asks for code, for weights of any form, or for an implementation that would be fetched."""
    for key, value in _settings(content):
        if key in _CODE_KEYS and value:
            _refuse(f"{path.name} in {path.parent} asks for code by {key}, and no code of a model is run.", _SAVE)
        if key in _WEIGHT_KEYS and value:
            _refuse(f"{path.name} in {path.parent} names its own file of weights by {key}.", _SAVE)
        names = list(value.values()) if isinstance(value, dict) else [value]
        if key.endswith(("_implementation", "_implementation_internal")) and not _IMPLEMENTATIONS.issuperset(
            str(name) for name in names if name is not None
        ):
            _refuse(f"{path.name} in {path.parent} asks for an implementation from elsewhere by {key}.", _SAVE)


def _settings(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a JSON text with its value, at whatever depth."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
