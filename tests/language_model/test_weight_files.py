from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_folder_faults import WEIGHTS, assert_refused, change_json, truncate
from safetensors.torch import save_file

from llamarec_cli.language_model.weight_files import tensor_shapes


def truncated(folder: Path) -> None:
    truncate(folder / WEIGHTS)


def git_lfs_pointer(folder: Path) -> None:
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\n")


def empty(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"")


def far_too_wide(folder: Path) -> None:
    change_json(folder / "config.json", vocab_size=10**8)


def far_too_deep(folder: Path) -> None:
    change_json(folder / "config.json", num_hidden_layers=10**6)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (truncated, "model.safetensors in .* is truncated"),
        (git_lfs_pointer, "model.safetensors in .* is truncated, damaged or not a safetensors file"),
        (empty, "model.safetensors in .* is truncated"),
        (far_too_wide, "describes far more weights than its files contain"),
        (far_too_deep, "describes far more weights than its files contain"),
    ],
)
def test_weights_that_are_incomplete_or_too_few_are_refused(
    spoil: Callable[[Path], None], sentence: str, base: Path
) -> None:
    spoil(base)
    assert_refused(base, sentence)


def test_shapes_are_read_from_the_header(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(())}, tmp_path / WEIGHTS, metadata={"format": "pt"})
    assert tensor_shapes(tmp_path / WEIGHTS) == {"a": [2, 3], "b": []}
