"""The digest of a base model covers all bytes of its files, which are read again only if they may have changed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from digest_cache import change_last_byte, patient
from fakes import byte_tokenizer
from safetensors.torch import save_file
from tiny_models import tiny_model

from llamarec_cli.artefacts import base_model
from llamarec_cli.artefacts.base_model import (
    BaseModel,
    base_slug,
    check_base_model,
    need_base_model,
    title_vectors_name,
)
from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.store import integrity
from llamarec_cli.store.registry import Store


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A base model folder with more than two megabytes of weights."""
    folder = tmp_path / "large"
    tiny_model("llama", vocab_size=20_000).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    assert (folder / "model.safetensors").stat().st_size > 2**21
    return folder


@pytest.mark.parametrize("patience", [False, True])
def test_changing_weights_in_place_changes_the_digest(
    context: Context, large: Path, patience: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if patience:
        monkeypatch.setattr(base_model, "FileDigests", patient)
    before = need_base_model(context, str(large))
    assert need_base_model(context, str(large)) == before
    change_last_byte(large / "model.safetensors")
    assert need_base_model(context, str(large)).digest != before.digest


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_changing_tokenizer_or_configuration_changes_the_digest(context: Context, large: Path, name: str) -> None:
    before = need_base_model(context, str(large))
    (large / name).write_text((large / name).read_text() + "\n")
    assert need_base_model(context, str(large)).digest != before.digest


def test_files_that_are_not_read_do_not_change_the_digest(context: Context, large: Path) -> None:
    before = need_base_model(context, str(large))
    (large / "README.md").write_text("# A model\n")
    (large / "optimizer.pt").write_bytes(b"state")
    assert need_base_model(context, str(large)) == before


def test_a_moved_folder_keeps_its_digest(context: Context, large: Path) -> None:
    before = need_base_model(context, str(large))
    moved = large.rename(large.parent / "moved")
    assert need_base_model(context, str(moved)).digest == before.digest


def test_every_file_of_a_base_model_in_the_store_is_verified(
    store_with_base: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening an artefact verifies small files only, which is disabled here."""
    monkeypatch.setattr(integrity, "_CHECKED_BYTES", 0)
    context = Context(store_with_base, command="test")
    weights = need_base_model(context, DEFAULT_BASE).path / "model.safetensors"
    change_last_byte(weights)
    with pytest.raises(LlamaRecError, match=r"damaged: model\.safetensors"):
        need_base_model(context, DEFAULT_BASE)


def test_changing_one_shard_changes_the_digest(context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    tiny_model("llama").save_pretrained(folder, max_shard_size="20kB")
    byte_tokenizer().save_pretrained(folder)
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1
    before = need_base_model(context, str(folder))
    save_file({"other": torch.zeros(1)}, parts[-1], metadata={"format": "pt"})
    assert need_base_model(context, str(folder)).digest != before.digest


@pytest.mark.parametrize("name", ["~nosuchuser/model", "x" * 5000, "a\0b", "nowhere"])
def test_an_unknown_or_invalid_name_is_an_error(context: Context, name: str) -> None:
    with pytest.raises(LlamaRecError, match="no base model called"):
        need_base_model(context, name)


def test_an_unreadable_folder_is_an_error(context: Context, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", forbidden)
    with pytest.raises(LlamaRecError, match=r"cannot be read \(Permission denied\)"):
        need_base_model(context, str(large))


def test_the_default_base_model_is_taken_from_the_store(store_with_base: Store) -> None:
    assert need_base_model(Context(store_with_base, command="test"), DEFAULT_BASE).path.is_dir()


def test_a_ranker_of_another_version_is_refused_with_the_command_that_trains_it(tmp_path: Path) -> None:
    base = BaseModel("OWNER/MODEL", tmp_path, "new")
    check_base_model({"OWNER/MODEL": "new"}, base, "games/model")
    with pytest.raises(LlamaRecError, match="trained with another version of OWNER/MODEL") as caught:
        check_base_model({"OWNER/MODEL": "old"}, base, "games/model")
    command = "llamarec train ranker --base OWNER/MODEL --name games/model --replace"
    assert caught.value.hint == f"Train it again: {command}"


def test_store_names_contain_the_last_part_of_a_base_model_name() -> None:
    names = {"OWNER/Model 7B": "model-7b", "/models/tiny/": "tiny", "smollm2-135m": "smollm2-135m"}
    assert {name: base_slug(name) for name in names} == names
    assert title_vectors_name("games", "OWNER/MODEL") == "games/model.titles"


def test_a_folder_without_a_model_is_an_error(context: Context, tmp_path: Path) -> None:
    with pytest.raises(LlamaRecError, match=r"not a base model folder: it has no config\.json"):
        need_base_model(context, str(tmp_path))


@pytest.mark.parametrize(
    ("error", "sentence", "hint"),
    [
        ("GatedRepoError", "is gated", "hf auth login"),
        ("RepositoryNotFoundError", "has no owner/model", "Check the name"),
        ("LocalEntryNotFoundError", "cannot be reached", "hf download"),
    ],
)
def test_errors_of_the_hub_are_explained(
    context: Context, monkeypatch: pytest.MonkeyPatch, error: str, sentence: str, hint: str
) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    def refuse(*_: Any, **__: Any) -> str:
        kind = getattr(errors, error)
        # The constructors expect a server's response.
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(LlamaRecError, match=sentence) as caught:
        need_base_model(context, "owner/model")
    assert hint in str(caught.value.hint)


def test_a_model_of_the_hub_is_identified_by_its_revision(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    revision = "0123456789abcdef"
    tiny_model("qwen2").save_pretrained(tmp_path / revision)
    byte_tokenizer().save_pretrained(tmp_path / revision)
    requests: list[Any] = []

    def download(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        requests.append((repository, revision))
        assert not any(pattern.endswith((".bin", ".py")) for pattern in allow_patterns)
        return str(tmp_path / "0123456789abcdef")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert need_base_model(context, "owner/model").digest == revision
    need_base_model(context, "owner/model", revision)
    assert requests == [("owner/model", None), ("owner/model", revision)]
