"""Folders of others: what would run code or open a pickle leaves no trace, and whatever is wrong is one sentence.

The files planted leave a trace in a folder when they are run or unpickled, and are noticed when they are opened.
"""

import builtins
import contextlib
import io
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import byte_tokenizer, tiny_llama
from safetensors.torch import load_file, save_file
from tiny_models import tiny_t5

from llamarec_cli.artefacts.base_model import need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model import libraries
from llamarec_cli.language_model.adapters import add_adapter, merge_adapter, save_adapter
from llamarec_cli.language_model.base_models import load_base_model, load_tokenizer
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store

CPU = torch.device("cpu")
PLANTED = (".py", ".bin", ".pt", ".pkl")
_opened: list[str] = []
_watching: list[Path] = []


def _watch(event: str, given: tuple[Any, ...]) -> None:
    if event != "open" or not _watching or not str(given[0]).endswith(PLANTED):
        return
    reads = given[1] is None or str(given[1]).startswith("r")
    if reads and str(given[0]).startswith(str(_watching[0])):
        _opened.append(str(given[0]))


sys.addaudithook(_watch)


class LeavesATrace:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that no test may leave behind; every question is answered by yes, and asking one is an error too."""
    asked: list[str] = []
    monkeypatch.setattr(builtins, "input", lambda question="": asked.append(question) or "y")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 99))
    path = tmp_path / "trace"
    _opened.clear()
    _watching[:] = [tmp_path]
    yield path
    _watching.clear()
    assert not path.exists()
    assert _opened == []
    assert asked == []


@pytest.fixture
def base(tmp_path: Path, tiny_base_folder: Path) -> Path:
    """A base model folder that loads."""
    folder = tmp_path / "base"
    folder.mkdir()
    for path in tiny_base_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def change(path: Path, **settings: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def plant_code(folder: Path, trace: Path, name: str = "evil.py") -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    classes = "\n".join(f"class {one}:\n    pass" for one in ("Model", "Config", "Tokenizer"))
    (folder / name).write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n{classes}\n")


def plant_pickle(path: Path, trace: Path) -> None:
    path.write_bytes(pickle.dumps(LeavesATrace(trace)))


def code_of_the_model(folder: Path, trace: Path) -> None:
    plant_code(folder, trace)
    change(folder / "config.json", auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})


def code_of_the_tokenizer(folder: Path, trace: Path) -> None:
    plant_code(folder, trace)
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokenizer", None]})


def code_of_an_unknown_type(folder: Path, trace: Path) -> None:
    code_of_the_model(folder, trace)
    change(folder / "config.json", model_type="evil")


def code_that_lies_elsewhere(folder: Path, trace: Path) -> None:
    change(folder / "config.json", auto_map={"AutoModelForCausalLM": "owner/model--evil.Model"})


def code_to_generate(folder: Path, trace: Path) -> None:
    plant_code(folder, trace, "custom_generate/generate.py")


def code_beside(folder: Path, trace: Path) -> None:
    plant_code(folder, trace, "setup.py")


def pickle_alone(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").unlink()
    plant_pickle(folder / "pytorch_model.bin", trace)


def pickle_by_another_name(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").unlink()
    plant_pickle(folder / "weights.pt", trace)


def pickle_named_by_the_configuration(folder: Path, trace: Path) -> None:
    plant_pickle(folder / "evil.bin", trace)
    change(folder / "config.json", transformers_weights="evil.bin")


def index_of_pickles(folder: Path, trace: Path) -> None:
    pickle_alone(folder, trace)
    weights = {"model.norm.weight": "pytorch_model.bin"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weights}))


def index_of_what_lies_outside(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    weights = {"model.norm.weight": "../outside.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weights}))


def adapter_that_names_another_base(folder: Path, trace: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    plant_pickle(other / "pytorch_model.bin", trace)
    plant_pickle(folder / "adapter_model.bin", trace)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(other)}))


def attention_to_fetch(folder: Path, trace: Path) -> None:
    change(folder / "config.json", _attn_implementation="owner/kernel")


def another_form(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.gguf")


def a_pipe(folder: Path, trace: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


HOSTILE: list[tuple[Callable[[Path, Path], None], str]] = [
    (code_of_the_model, "brings code, evil.py"),
    (code_of_the_tokenizer, "brings code, evil.py"),
    (code_of_an_unknown_type, "brings code, evil.py"),
    (code_that_lies_elsewhere, "asks for code by auto_map"),
    (code_to_generate, "brings code, custom_generate"),
    (code_beside, r"brings code, setup\.py"),
    (pickle_alone, "in a pickle, which may run code, pytorch_model.bin; only safetensors"),
    (pickle_by_another_name, "in a pickle, which may run code, weights.pt"),
    (pickle_named_by_the_configuration, "names its own file of weights"),
    (index_of_pickles, "no safetensors beside it: pytorch_model.bin"),
    (index_of_what_lies_outside, "no safetensors beside it: ../outside"),
    (adapter_that_names_another_base, "holds an adapter"),
    (attention_to_fetch, "an implementation from elsewhere"),
    (another_form, "in another form, model.gguf"),
    (a_pipe, "tokenizer.json in .* is not a file"),
]


@pytest.mark.parametrize(("make", "sentence"), HOSTILE)
def test_a_hostile_folder_is_refused_before_a_library_sees_it(
    make: Callable[[Path, Path], None], sentence: str, base: Path, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(base, trace)

    def seen(*_: Any, **__: Any) -> Any:
        raise AssertionError("transformers was asked")

    for auto in ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM"):
        monkeypatch.setattr(f"transformers.{auto}.from_pretrained", seen)
    for load in (load_tokenizer, lambda folder: load_base_model(folder, CPU)):
        with pytest.raises(LlamaRecError, match=sentence):
            load(base)


@pytest.mark.parametrize(("make", "sentence"), HOSTILE)
def test_so_is_one_that_was_imported_or_is_named(
    make: Callable[[Path, Path], None], sentence: str, base: Path, trace: Path, context: Context
) -> None:
    make(base, trace)
    with pytest.raises(LlamaRecError, match=sentence):
        need_base_model(context, str(base))
    if make is a_pipe:  # no archive holds one
        return
    _watching.clear()  # the store reads every file for its digest
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
        code_of_the_model,
        code_of_the_tokenizer,
        code_of_an_unknown_type,
        pickle_alone,
        pickle_by_another_name,
        pickle_named_by_the_configuration,
    ],
)
def test_transformers_itself_is_told_to_run_no_code_and_to_open_no_pickle(
    make: Callable[[Path, Path], None], base: Path, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be left if a way round the look at the folder were found."""
    make(base, trace)
    monkeypatch.setattr(libraries, "check_model_folder", lambda _: {})
    for load in (load_tokenizer, lambda folder: load_base_model(folder, CPU)):
        with contextlib.suppress(LlamaRecError):
            load(base)


def test_a_pickle_beside_safetensors_is_not_opened(base: Path, trace: Path, context: Context) -> None:
    plant_pickle(base / "pytorch_model.bin", trace)
    plant_pickle(base / "training_args.bin", trace)
    need_base_model(context, str(base))
    load_tokenizer(base)
    load_base_model(base, CPU)


# Broken, without malice.


def rewrite(folder: Path, change_tensors: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change_tensors(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Unheard"}}')


def cut_weights_of(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def cut_weights(folder: Path) -> None:
    cut_weights_of(folder / "model.safetensors")


def text_for_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def empty_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def broken_configuration(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "lla')


def configuration_of_nonsense(folder: Path) -> None:
    change(folder / "config.json", num_attention_heads="many")


def unknown_type(folder: Path) -> None:
    change(folder / "config.json", model_type="unheard-of")


def no_type(folder: Path) -> None:
    change(folder / "config.json", model_type=None)


def nested(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


def encoder_and_decoder(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    tiny_t5().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)


def layer_missing(folder: Path) -> None:
    rewrite(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if ".layers.1." in name])


def head_missing(folder: Path) -> None:
    change(folder / "config.json", tie_word_embeddings=False)


def layer_too_many(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers=1)


def other_shape(folder: Path) -> None:
    change(folder / "config.json", intermediate_size=96)


def far_too_large(folder: Path) -> None:
    change(folder / "config.json", vocab_size=10**8)


def far_too_deep(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers=10**6)


def part_missing(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weights}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (no_tokenizer, "holds no tokenizer"),
        (broken_tokenizer, "The tokenizer in .* cannot be loaded"),
        (cut_weights, "model.safetensors in .* is cut off"),
        (text_for_weights, "model.safetensors in .* is cut off"),
        (empty_weights, "model.safetensors in .* is cut off"),
        (far_too_large, "far more weights"),
        (far_too_deep, "far more weights"),
        (broken_configuration, "config.json in .* is not a JSON text"),
        (configuration_of_nonsense, "cannot be loaded"),
        (unknown_type, "cannot be loaded: .*unheard-of"),
        (no_type, "does not tell the type"),
        (nested, "is not a JSON text"),
        (encoder_and_decoder, "has an encoder"),
        (layer_missing, r"lacks weights: model\.layers\.1\..* and 8 more"),
        (head_missing, r"lacks weights: lm_head\.weight"),
        (layer_too_many, "its configuration does not know"),
        (other_shape, "another shape"),
        (part_missing, "lacks a part of the weights: model-00002"),
    ],
)
def test_a_broken_folder_is_one_sentence(spoil: Callable[[Path], None], sentence: str, base: Path) -> None:
    spoil(base)
    with pytest.raises(LlamaRecError, match=sentence) as caught:
        load_tokenizer(base)
        load_base_model(base, CPU)
    assert caught.value.hint
    assert "\n" not in caught.value.sentence
    assert len(caught.value.sentence) < 500


# Adapters.


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter of the tiny Llama that loads, and changes something."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    adapted = add_adapter(tiny_llama(), rank=4, alpha=16, dropout=0.0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    save_adapter(adapted, folder, "tiny")
    return folder


def adapter_in_a_pickle(folder: Path, trace: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    plant_pickle(folder / "adapter_model.bin", trace)


def adapter_with_an_import(folder: Path, trace: Path) -> None:
    change(folder / "adapter_config.json", megatron_core="antigravity", megatron_config={"a": 1})


def adapter_with_code(folder: Path, trace: Path) -> None:
    plant_code(folder, trace)


def adapter_of_another_base(folder: Path, trace: Path) -> None:
    change(folder / "adapter_config.json", init_lora_weights="pissa")


def adapter_of_another_kind(folder: Path, trace: Path) -> None:
    change(folder / "adapter_config.json", peft_type="IA3")


def adapter_with_modules(folder: Path, trace: Path) -> None:
    change(folder / "adapter_config.json", modules_to_save=["embed_tokens"])


def adapter_of_other_maps(folder: Path, trace: Path) -> None:
    change(folder / "adapter_config.json", target_modules=["q_proj"])


def adapter_with_a_map_missing(folder: Path, trace: Path) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / "adapter_model.safetensors")


def adapter_of_another_rank(folder: Path, trace: Path) -> None:
    change(folder / "adapter_config.json", r=8)


def adapter_that_is_cut(folder: Path, trace: Path) -> None:
    cut_weights_of(folder / "adapter_model.safetensors")


def adapter_of_the_head(folder: Path, trace: Path) -> None:
    change(folder / "adapter_config.json", target_modules=["q_proj", "v_proj", "lm_head"])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (adapter_in_a_pickle, "no adapter in safetensors"),
        (adapter_with_an_import, "asks for megatron_co"),
        (adapter_with_code, "brings code"),
        (adapter_of_another_base, "other weights of its base model"),
        (adapter_of_another_kind, "none of LoRA"),
        (adapter_with_modules, "asks for modules_to_save"),
        (adapter_of_other_maps, "does not know"),
        (adapter_with_a_map_missing, "lacks weights"),
        (adapter_of_another_rank, "cannot be loaded"),
        (adapter_that_is_cut, "is cut off"),
        (adapter_of_the_head, "output head"),
    ],
)
def test_an_adapter_that_is_more_or_less_than_one_is_refused(
    make: Callable[[Path, Path], None], sentence: str, adapter: Path, trace: Path
) -> None:
    make(adapter, trace)
    with pytest.raises(LlamaRecError, match=sentence):
        merge_adapter(tiny_llama(), adapter)


def test_an_adapter_beside_a_pickle_is_merged_and_the_pickle_not_opened(adapter: Path, trace: Path) -> None:
    plant_pickle(adapter / "adapter_model.bin", trace)
    merged, plain = merge_adapter(tiny_llama(), adapter), tiny_llama()
    assert not torch.equal(
        merged.model.layers[0].self_attn.q_proj.weight, plain.model.layers[0].self_attn.q_proj.weight
    )
    assert torch.equal(merged.model.layers[0].self_attn.k_proj.weight, plain.model.layers[0].self_attn.k_proj.weight)


def test_a_store_that_holds_the_default_base_gives_it(store_with_base: Store) -> None:
    assert need_base_model(Context(store_with_base, command="test"), DEFAULT_BASE).path.is_dir()
