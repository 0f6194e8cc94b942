import os
from pathlib import Path

import pytest

from llamarec_cli.config import read_settings, resolve_config
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.retrieval.training_config import TrainingConfig


def test_flag_over_variable_over_file_over_default(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[training]\nseed = 1\npatience = 2\nbatch_size = 3\n")
    settings = read_settings(path, {"LLAMAREC_TRAINING_SEED": "4", "LLAMAREC_TRAINING_PATIENCE": "5", "OTHER": "6"})
    settings.give("training", seed=7, epochs=None)
    config = resolve_config(TrainingConfig(), settings.tables["training"])
    assert (config.seed, config.patience, config.batch_size, config.epochs) == (7, 5, 3, 500)
    assert settings.sources == {
        "training.seed": "flag",
        "training.patience": "LLAMAREC_TRAINING_PATIENCE",
        "training.batch_size": str(path),
    }


def test_variables_are_written_like_the_file() -> None:
    settings = read_settings(
        None, {"LLAMAREC_LRUREC_DROPOUT": "0.4", "LLAMAREC_RANKER_LORA_TARGETS": '["q_proj"]', "LLAMAREC_HOME": "/x"}
    )
    assert settings.tables["lrurec"] == {"dropout": 0.4}
    assert settings.tables["ranker"] == {"lora_targets": ["q_proj"]}
    assert read_settings(None, {"LLAMAREC_ENSEMBLE_RETRIEVER": "sasrec"}).tables["ensemble"] == {"retriever": "sasrec"}


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("[trainings]\n", UsageError, "did you mean training"),
        ("training = 3\n", UsageError, "must be a table"),
        ("[training\n", LlamaRecError, "is not TOML"),
    ],
)
def test_a_file_that_does_not_fit_is_a_sentence(
    tmp_path: Path, text: str, error: type[LlamaRecError], sentence: str
) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(error, match=sentence):
        read_settings(tmp_path / "c.toml", {})
    with pytest.raises(LlamaRecError, match="cannot be read"):
        read_settings(tmp_path / "nowhere.toml", {})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sed": 1}, "did you mean seed"),
        ({"seed": "one"}, "must be int"),
        ({"seed": True}, "must be int"),
        ({"learning_rate": -1.0}, "learning_rate and gradient_clip must be above 0"),
    ],
)
def test_values_that_do_not_fit_are_a_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        resolve_config(TrainingConfig(), values)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[training]\nseed = " + "9" * 5000, "is not TOML"),
        ("[training]\nseed = " + "[" * 5000, "nests lists too deeply|is not TOML"),
        ("#" * 8_000_001, "larger than 8,000,000 bytes"),
        ("\ufeff[trainings]\n", "did you mean training"),
    ],
    ids=["a long number", "nested", "large", "a mark of byte order"],
)
def test_a_file_of_any_size_and_depth_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(LlamaRecError, match=sentence):
        read_settings(tmp_path / "c.toml", {})


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(LlamaRecError, match=r"cannot be read|is a pipe|is a device"):
            read_settings(path, {})


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "99999999999999999999", "1e999", "[" * 5000, "9" * 5000])
def test_odd_numbers_are_refused_whoever_gives_them(value: str) -> None:
    for key, variable in (("epochs", "LLAMAREC_TRAINING_EPOCHS"), ("weight_decay", "LLAMAREC_TRAINING_WEIGHT_DECAY")):
        with pytest.raises(UsageError, match=key):
            resolve_config(TrainingConfig(), read_settings(None, {variable: value}).tables["training"])
