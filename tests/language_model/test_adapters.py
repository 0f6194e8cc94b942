from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fakes import tiny_llama
from model_folder_faults import change_json, change_tensors, plant_code, plant_pickle, truncate
from tiny_models import tiny_model

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.adapters import (
    adapter_parameters,
    add_adapter,
    holds_adapter,
    merge_adapter,
    save_adapter,
)

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter of the tiny Llama that loads and has an effect."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    adapted = add_adapter(tiny_llama(), rank=4, alpha=16, dropout=0.0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    save_adapter(adapted, folder, "tiny")
    return folder


def pickled_weights(folder: Path, trace: Path) -> None:
    (folder / WEIGHTS).unlink()
    plant_pickle(folder / "adapter_model.bin", trace)


def module_to_import(folder: Path, trace: Path) -> None:
    change_json(folder / CONFIG, megatron_core="antigravity", megatron_config={"a": 1})


def code(folder: Path, trace: Path) -> None:
    plant_code(folder, trace)


def modified_base(folder: Path, trace: Path) -> None:
    change_json(folder / CONFIG, init_lora_weights="pissa")


def another_method(folder: Path, trace: Path) -> None:
    change_json(folder / CONFIG, peft_type="IA3")


def saved_modules(folder: Path, trace: Path) -> None:
    change_json(folder / CONFIG, modules_to_save=["embed_tokens"])


def surplus_weights(folder: Path, trace: Path) -> None:
    change_json(folder / CONFIG, target_modules=["q_proj"])


def missing_weights(folder: Path, trace: Path) -> None:
    change_tensors(folder / WEIGHTS, lambda tensors: tensors.pop(min(tensors)))


def another_rank(folder: Path, trace: Path) -> None:
    change_json(folder / CONFIG, r=8)


def truncated_weights(folder: Path, trace: Path) -> None:
    truncate(folder / WEIGHTS)


def adapted_head(folder: Path, trace: Path) -> None:
    change_json(folder / CONFIG, target_modules=["q_proj", "v_proj", "lm_head"])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (pickled_weights, "no adapter in safetensors"),
        (module_to_import, "sets megatron_co"),
        (code, "contains code"),
        (modified_base, "modified weights of its base model"),
        (another_method, "is not a LoRA adapter"),
        (saved_modules, "sets modules_to_save"),
        (surplus_weights, "does not use"),
        (missing_weights, "lacks weights"),
        (another_rank, "cannot be loaded"),
        (truncated_weights, "is truncated"),
        (adapted_head, "output head"),
    ],
)
def test_anything_but_a_complete_plain_lora_adapter_is_refused(
    spoil: Callable[[Path, Path], None], sentence: str, adapter: Path, trace: Path
) -> None:
    spoil(adapter, trace)
    with pytest.raises(LlamaRecError, match=sentence):
        merge_adapter(tiny_llama(), adapter)


def test_an_adapter_is_merged_and_a_pickle_beside_it_not_opened(adapter: Path, trace: Path) -> None:
    plant_pickle(adapter / "adapter_model.bin", trace)
    assert holds_adapter(adapter)
    merged, plain = (model.model.layers[0].self_attn for model in (merge_adapter(tiny_llama(), adapter), tiny_llama()))
    assert not torch.equal(merged.q_proj.weight, plain.q_proj.weight)
    assert torch.equal(merged.k_proj.weight, plain.k_proj.weight)


def test_a_saved_adapter_is_peft_files_and_names_its_base(adapter: Path) -> None:
    assert sorted(path.name for path in adapter.iterdir()) == [CONFIG, WEIGHTS]
    assert '"base_model_name_or_path": "tiny"' in (adapter / CONFIG).read_text()


@pytest.mark.parametrize("architecture", ["granite", "cohere", "phi3", "gpt2", "bloom", "opt", "mamba"])
def test_an_adapter_has_default_targets_or_an_error_lists_possible_ones(architecture: str) -> None:
    if architecture in ("phi3", "mamba"):
        with pytest.raises(LlamaRecError, match=rf"\({architecture}\) has none of the linear layers") as caught:
            add_adapter(tiny_model(architecture), rank=2, alpha=4, dropout=0.0)
        name = {"phi3": "qkv_proj", "mamba": "in_proj"}[architecture]
        assert name in str(caught.value.hint)
        assert adapter_parameters(add_adapter(tiny_model(architecture), 2, 4, 0.0, [name]))
    else:
        assert adapter_parameters(add_adapter(tiny_model(architecture), rank=2, alpha=4, dropout=0.0))


@pytest.mark.parametrize("target", ["no_such_layer", "lm_head", "embed_tokens", "proj"])
def test_targets_that_a_model_lacks_are_an_error(target: str) -> None:
    with pytest.raises(LlamaRecError, match=f"has no linear layers named {target}"):
        add_adapter(tiny_llama(), 2, 4, 0.0, [target])
