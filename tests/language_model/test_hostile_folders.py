"""Folders with code or pickles are refused before a library sees them, and the libraries would not run them either."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_folder_faults import CPU, OPENED, WEIGHTS, change_json, plant_code, plant_pickle, write_index

from llamarec_cli.artefacts.base_model import need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model import base_models
from llamarec_cli.language_model.base_models import load_base_model, load_tokenizer
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.store.manifest import Kind, Manifest

LOADS: list[Callable[[Path], Any]] = [load_tokenizer, lambda folder: load_base_model(folder, CPU)]


def model_code(folder: Path, trace: Path) -> None:
    plant_code(folder, trace)
    change_json(folder / "config.json", auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})


def tokenizer_code(folder: Path, trace: Path) -> None:
    plant_code(folder, trace)
    change_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokenizer", None]})


def code_of_an_unknown_type(folder: Path, trace: Path) -> None:
    model_code(folder, trace)
    change_json(folder / "config.json", model_type="evil")


def code_in_another_repository(folder: Path, trace: Path) -> None:
    change_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "owner/model--evil.Model"})


def generation_code(folder: Path, trace: Path) -> None:
    plant_code(folder, trace, "custom_generate/generate.py")


def unrelated_code(folder: Path, trace: Path) -> None:
    plant_code(folder, trace, "setup.py")


def pickled_weights(folder: Path, trace: Path) -> None:
    (folder / WEIGHTS).unlink()
    plant_pickle(folder / "pytorch_model.bin", trace)


def pickled_weights_under_another_name(folder: Path, trace: Path) -> None:
    (folder / WEIGHTS).unlink()
    plant_pickle(folder / "weights.pt", trace)


def pickle_named_in_the_configuration(folder: Path, trace: Path) -> None:
    plant_pickle(folder / "evil.bin", trace)
    change_json(folder / "config.json", transformers_weights="evil.bin")


def index_of_pickles(folder: Path, trace: Path) -> None:
    pickled_weights(folder, trace)
    write_index(folder, **{"model.norm.weight": "pytorch_model.bin"})


def index_of_a_file_outside(folder: Path, trace: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / "outside.safetensors")
    write_index(folder, **{"model.norm.weight": "../outside.safetensors"})


def adapter_with_another_base(folder: Path, trace: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    plant_pickle(other / "pytorch_model.bin", trace)
    plant_pickle(folder / "adapter_model.bin", trace)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(other)}))


def attention_kernel_to_download(folder: Path, trace: Path) -> None:
    change_json(folder / "config.json", _attn_implementation="owner/kernel")


def unsupported_format(folder: Path, trace: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model.gguf")


def named_pipe(folder: Path, trace: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


HOSTILE: list[tuple[Callable[[Path, Path], None], str]] = [
    (model_code, r"contains code \(evil\.py\)"),
    (tokenizer_code, r"contains code \(evil\.py\)"),
    (code_of_an_unknown_type, r"contains code \(evil\.py\)"),
    (code_in_another_repository, "refers to code in auto_map"),
    (generation_code, r"contains code \(custom_generate"),
    (unrelated_code, r"contains code \(setup\.py\)"),
    (pickled_weights, "pytorch_model.bin in .* is a pickle, which can run code; weights must be in safetensors format"),
    (pickled_weights_under_another_name, "weights.pt in .* is a pickle, which can run code"),
    (pickle_named_in_the_configuration, "names a file of weights in transformers_weights"),
    (index_of_pickles, "in another folder or format: pytorch_model.bin"),
    (index_of_a_file_outside, "in another folder or format: ../outside"),
    (adapter_with_another_base, "contains an adapter"),
    (attention_kernel_to_download, "an implementation from elsewhere"),
    (unsupported_format, "model.gguf in .* is an unsupported format"),
    (named_pipe, "tokenizer.json in .* is not a regular file"),
]


@pytest.mark.parametrize(("make", "sentence"), HOSTILE)
def test_a_hostile_folder_is_refused_before_a_library_sees_it(
    make: Callable[[Path, Path], None], sentence: str, base: Path, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(base, trace)

    def called(*_: Any, **__: Any) -> Any:
        raise AssertionError("transformers was called")

    for auto in ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM"):
        monkeypatch.setattr(f"transformers.{auto}.from_pretrained", called)
    for load in LOADS:
        with pytest.raises(LlamaRecError, match=sentence):
            load(base)


@pytest.mark.parametrize(("make", "sentence"), HOSTILE)
def test_a_hostile_folder_is_refused_as_a_path_and_in_the_store(
    make: Callable[[Path, Path], None], sentence: str, base: Path, trace: Path, context: Context
) -> None:
    make(base, trace)
    with pytest.raises(LlamaRecError, match=sentence):
        need_base_model(context, str(base))
    if make is named_pipe:  # the store holds regular files only
        return
    OPENED.folder = None  # the store reads every file to compute its checksum
    with context.store.stage(Manifest(DEFAULT_BASE, Kind.BASE_MODEL, {}, {}, {}, command="test")) as folder:
        base.rename(folder / "base")
        for path in [*(folder / "base").iterdir()]:
            path.rename(folder / path.name)
        (folder / "base").rmdir()
    with pytest.raises(LlamaRecError, match=sentence):
        need_base_model(context, DEFAULT_BASE)


@pytest.mark.parametrize(
    "make",
    [
        model_code,
        tokenizer_code,
        code_of_an_unknown_type,
        pickled_weights,
        pickled_weights_under_another_name,
        pickle_named_in_the_configuration,
    ],
)
def test_options_of_transformers_alone_prevent_code_and_pickles(
    make: Callable[[Path, Path], None], base: Path, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line of defence, should the check of the folder miss something."""
    make(base, trace)
    monkeypatch.setattr(base_models, "check_model_folder", lambda _: {})
    for load in LOADS:
        with contextlib.suppress(LlamaRecError):
            load(base)


def test_a_pickle_beside_safetensors_is_not_opened(base: Path, trace: Path, context: Context) -> None:
    plant_pickle(base / "pytorch_model.bin", trace)
    plant_pickle(base / "training_args.bin", trace)
    need_base_model(context, str(base))
    for load in LOADS:
        load(base)
