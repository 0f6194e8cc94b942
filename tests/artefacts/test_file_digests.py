"""The cache of digests: an unchanged file is hashed once."""

from pathlib import Path
from typing import Any

import pytest
from digest_cache import change_last_byte, patient

from llamarec_cli.artefacts.file_digests import FileDigests
from llamarec_cli.errors import HomeError
from llamarec_cli.store.manifest import sha256_of
from llamarec_cli.store.registry import Store


def test_a_file_is_hashed_again_only_if_it_may_have_changed(store: Store, tmp_path: Path) -> None:
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


def test_a_recently_modified_file_is_hashed_every_time(store: Store, tmp_path: Path) -> None:
    """Its times might be those of another change as well."""
    path = tmp_path / "weights"
    path.write_bytes(b"a")
    for _ in range(2):
        digests = FileDigests(store)
        digests.sha256(path)
        assert digests.read == [path]


@pytest.mark.parametrize("content", ["", "[]", '{"PATH": 7}', '{"PATH": {"state": 7}}', "[" * 100_000, "\udcff"])
def test_a_damaged_cache_is_discarded(store: Store, tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"a")
    patient(store).sha256(path)
    kept = store.home / "digests" / "files.json"
    assert kept.is_file()
    kept.write_bytes(content.replace("PATH", str(path)).encode(errors="surrogateescape"))
    assert patient(store).sha256(path) == sha256_of(path)


def test_an_unwritable_home_only_disables_the_cache(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> Any:
        raise HomeError("The disk is full.")

    path = tmp_path / "weights"
    path.write_bytes(b"a")
    monkeypatch.setattr(store, "scratch", full)
    assert patient(store).sha256(path) == sha256_of(path)
