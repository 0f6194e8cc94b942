"""A base model is known by all its bytes, which are read twice only where they may have changed."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import byte_tokenizer
from safetensors.torch import save_file
from tiny_models import tiny_model

from llamarec_cli.artefacts import base_model
from llamarec_cli.artefacts.base_model import need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.file_digests import FileDigests
from llamarec_cli.errors import HomeError, LlamaRecError
from llamarec_cli.language_model.catalogue import DEFAULT_BASE
from llamarec_cli.store import integrity
from llamarec_cli.store.manifest import sha256_of
from llamarec_cli.store.registry import Store


def later() -> int:
    """The time when files that tests have just written are old."""
    return time.time_ns() + 10**10


def patient(store: Store) -> FileDigests:
    return FileDigests(store, now=later)


def change_last_byte(path: Path) -> None:
    """In place, with the times it had."""
    before = path.stat()
    with path.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        last = opened.read(1)
        opened.seek(-1, os.SEEK_END)
        opened.write(bytes([last[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A base model folder whose last weights lie behind the first two megabytes."""
    folder = tmp_path / "large"
    tiny_model("llama", vocab_size=20_000).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    assert (folder / "model.safetensors").stat().st_size > 2**21
    return folder


@pytest.mark.parametrize("patience", [False, True])
def test_weights_that_change_in_place_make_another_model(
    context: Context, large: Path, patience: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if patience:
        monkeypatch.setattr(base_model, "FileDigests", patient)
    before = need_base_model(context, str(large))
    assert need_base_model(context, str(large)) == before
    change_last_byte(large / "model.safetensors")
    assert need_base_model(context, str(large)).digest != before.digest


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_so_does_what_stands_beside_them(context: Context, large: Path, name: str) -> None:
    before = need_base_model(context, str(large))
    (large / name).write_text((large / name).read_text() + "\n")
    assert need_base_model(context, str(large)).digest != before.digest


def test_what_no_library_reads_of_a_folder_does_not(context: Context, large: Path) -> None:
    before = need_base_model(context, str(large))
    (large / "README.md").write_text("# A model\n")
    (large / "optimizer.pt").write_bytes(b"state")
    assert need_base_model(context, str(large)) == before


def test_a_model_at_another_place_with_the_same_bytes_has_the_same_digest(context: Context, large: Path) -> None:
    before = need_base_model(context, str(large))
    moved = large.rename(large.parent / "moved")
    assert need_base_model(context, str(moved)).digest == before.digest


def test_a_file_is_read_again_only_where_it_may_have_changed(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    first, second = patient(store), patient(store)
    assert first.sha256(path) == sha256_of(path) == first.sha256(path)
    assert second.sha256(path) == patient(store).sha256(path) == sha256_of(path)
    assert first.read == [path]
    third = patient(store)
    third.sha256(path)
    assert third.read == []
    change_last_byte(path)
    assert third.sha256(path) == sha256_of(path)
    assert third.read == [path]


def test_a_file_of_just_now_is_read_every_time(store: Store, tmp_path: Path) -> None:
    """Its times might be those of another change as well."""
    path = tmp_path / "weights"
    path.write_bytes(b"a")
    for _ in range(2):
        digests = FileDigests(store)
        digests.sha256(path)
        assert digests.read == [path]


@pytest.mark.parametrize("content", ["", "[]", '{"PATH": 7}', '{"PATH": {"state": 7}}', "[" * 100_000, "\udcff"])
def test_a_damaged_memory_of_digests_is_forgotten(store: Store, tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"a")
    patient(store).sha256(path)
    kept = store.home / "digests" / "files.json"
    assert kept.is_file()
    kept.write_bytes(content.replace("PATH", str(path)).encode(errors="surrogateescape"))
    assert patient(store).sha256(path) == sha256_of(path)


def test_a_home_that_cannot_be_written_only_forgets(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> Any:
        raise HomeError("The disk is full.")

    path = tmp_path / "weights"
    path.write_bytes(b"a")
    monkeypatch.setattr(store, "scratch", full)
    assert patient(store).sha256(path) == sha256_of(path)


def test_a_base_model_of_the_store_is_checked_to_its_last_byte(
    store_with_base: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening an artefact reads small files alone; these stand for large ones."""
    monkeypatch.setattr(integrity, "_CHECKED_BYTES", 0)
    context = Context(store_with_base, command="test")
    weights = need_base_model(context, DEFAULT_BASE).path / "model.safetensors"
    change_last_byte(weights)
    with pytest.raises(LlamaRecError, match=r"damaged: model\.safetensors"):
        need_base_model(context, DEFAULT_BASE)


def test_a_part_of_the_weights_counts_as_the_whole_does(context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    tiny_model("llama").save_pretrained(folder, max_shard_size="20kB")
    byte_tokenizer().save_pretrained(folder)
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1
    before = need_base_model(context, str(folder))
    save_file({"other": torch.zeros(1)}, parts[-1], metadata={"format": "pt"})
    assert need_base_model(context, str(folder)).digest != before.digest


@pytest.mark.parametrize("name", ["~nosuchuser/model", "x" * 5000, "a\0b", "nowhere"])
def test_a_name_that_can_be_no_folder_is_a_sentence(context: Context, name: str) -> None:
    with pytest.raises(LlamaRecError, match="no base model called"):
        need_base_model(context, name)


def test_a_folder_that_cannot_be_read_is_a_sentence(
    context: Context, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", forbidden)
    with pytest.raises(LlamaRecError, match=r"cannot be read \(Permission denied\)"):
        need_base_model(context, str(large))


def test_the_default_base_model_is_taken_from_the_store(store_with_base: Store) -> None:
    assert need_base_model(Context(store_with_base, command="test"), DEFAULT_BASE).path.is_dir()
