from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import byte_tokenizer
from model_folder_faults import WEIGHTS, assert_refused, change_json, write_index
from tiny_models import tiny_t5

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model import model_folders
from llamarec_cli.language_model.model_folders import check_model_folder, model_files, read_json


def without_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()


def without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def truncated_configuration(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "lla')


def without_model_type(folder: Path) -> None:
    change_json(folder / "config.json", model_type=None)


def deeply_nested_configuration(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


def encoder_decoder(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    tiny_t5().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)


def without_a_shard(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    write_index(folder, a="model-00001-of-00002.safetensors", b="model-00002-of-00002.safetensors")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (without_configuration, "it has no config.json"),
        (without_weights, "it has no model.safetensors or"),
        (without_tokenizer, "contains no tokenizer"),
        (truncated_configuration, "config.json in .* is not valid JSON"),
        (without_model_type, "has no model_type"),
        (deeply_nested_configuration, "is not valid JSON"),
        (encoder_decoder, "is an encoder-decoder"),
        (without_a_shard, "shard of the weights is missing in .*: model-00002"),
    ],
)
def test_a_folder_with_a_missing_or_damaged_file_is_refused(
    spoil: Callable[[Path], None], sentence: str, base: Path
) -> None:
    spoil(base)
    assert_refused(base, sentence)


def test_the_configuration_of_a_good_folder_is_returned(base: Path) -> None:
    assert check_model_folder(base)["model_type"] == "llama"


def test_model_files_exclude_code_pickles_and_hidden_files(tmp_path: Path) -> None:
    for name in ("config.json", "a.safetensors", "a.py", "b.bin", ".c.json", "README.md"):
        (tmp_path / name).write_text("")
    assert model_files(tmp_path) == [tmp_path / "a.safetensors", tmp_path / "config.json"]


def test_a_json_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_folders, "_MOST_JSON_BYTES", 2**20)
    (tmp_path / "config.json").write_text(" " * (2**20 + 1))
    with pytest.raises(LlamaRecError, match=r"config\.json in .* is larger than 1 MiB"):
        read_json(tmp_path / "config.json")
