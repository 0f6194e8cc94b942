from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_folder_faults import WEIGHTS, assert_refused, change_json, change_tensors

from llamarec_cli.language_model.base_models import default_quantization
from llamarec_cli.names import Quantization


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Unheard"}}')


def invalid_setting(folder: Path) -> None:
    change_json(folder / "config.json", num_attention_heads="many")


def unknown_architecture(folder: Path) -> None:
    change_json(folder / "config.json", model_type="unheard-of")


def missing_layer(folder: Path) -> None:
    change_tensors(folder / WEIGHTS, lambda tensors: [tensors.pop(name) for name in [*tensors] if ".layers.1." in name])


def missing_head(folder: Path) -> None:
    change_json(folder / "config.json", tie_word_embeddings=False)


def surplus_layer(folder: Path) -> None:
    change_json(folder / "config.json", num_hidden_layers=1)


def other_shape(folder: Path) -> None:
    change_json(folder / "config.json", intermediate_size=96)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (broken_tokenizer, "The tokenizer in .* cannot be loaded"),
        (invalid_setting, "cannot be loaded"),
        (unknown_architecture, "cannot be loaded: .*unheard-of"),
        (missing_layer, r"lacks weights: model\.layers\.1\..* and 8 more"),
        (missing_head, r"lacks weights: lm_head\.weight"),
        (surplus_layer, "weights that its configuration does not use"),
        (other_shape, "another shape"),
    ],
)
def test_a_model_that_does_not_load_completely_is_refused(
    spoil: Callable[[Path], None], sentence: str, base: Path
) -> None:
    spoil(base)
    assert_refused(base, sentence)


def test_the_default_quantisation_is_nf4_on_a_gpu() -> None:
    assert default_quantization(torch.device("cuda")) is Quantization.NF4
    assert default_quantization(torch.device("cpu")) is Quantization.NONE
