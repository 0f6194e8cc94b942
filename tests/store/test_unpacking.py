"""Truncated and malicious archives are refused, and nothing of them is kept."""

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from archives import evil, make, member
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.store import unpacking
from llamarec_cli.store.archive import export_archive, import_archive, lineage
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Store


@pytest.fixture
def whole(store: Store, tmp_path: Path) -> Path:
    """An archive of two artefacts."""
    make(store, "games", Kind.DATASET, content=os.urandom(3000))
    make(store, "games/lrurec", Kind.RETRIEVER, ("games",), content=os.urandom(3000))
    export_archive(lineage(store, "games/lrurec"), tmp_path / "whole.tar.zst")
    return tmp_path / "whole.tar.zst"


@pytest.fixture
def there(tmp_path: Path) -> Store:
    """An empty store to be imported into."""
    return Store(tmp_path / "there")


def refused(store: Store, path: Path, match: str) -> None:
    with pytest.raises(LlamaRecError, match=match):
        import_archive(store, path)
    assert store.artefacts() == []
    assert not list((store.home / "staging").iterdir())


def packed(path: Path, content: bytes, **options: Any) -> Path:
    path.write_bytes(zstandard.ZstdCompressor(**options).compress(content))
    return path


def unpacked(path: Path) -> bytes:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as packed:
        return packed.read()


def test_a_truncated_archive_is_refused(whole: Path, there: Store) -> None:
    content = whole.read_bytes()
    lengths = {len(content) * part // 20 for part in range(20)} | {len(content) - less for less in range(1, 9)}
    for length in sorted(lengths):
        whole.write_bytes(content[:length])
        refused(there, whole, r"is truncated|is not an archive")
    whole.write_bytes(content)
    assert import_archive(there, whole) == ["games", "games/lrurec"]


def test_a_truncated_tar_in_a_complete_frame_is_refused(whole: Path, there: Store) -> None:
    content = unpacked(whole)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        begins = [one.offset for one in archive.getmembers()] + [archive.offset]
    for cut in (begins[2], begins[-1], begins[-1] + 512):
        refused(there, packed(whole, content[:cut]), "its end is missing")
    # Exports of earlier versions have no checksum, and are read.
    assert import_archive(there, packed(whole, content)) == ["games", "games/lrurec"]


def test_data_after_the_end_is_refused(whole: Path, there: Store) -> None:
    packed_content, content = whole.read_bytes(), unpacked(whole)
    for more in (b"x", packed_content):
        whole.write_bytes(packed_content + more)
        refused(there, whole, "has data after its end")
    for more in (b"x" * 512, bytes(30_000) + b"x"):
        refused(there, packed(whole, content + more), "has data after its end")


def test_a_decompression_bomb_is_refused(tmp_path: Path, there: Store) -> None:
    header = zstandard.ZstdCompressor().compressobj().flush()[:6]
    repeated = (1 << 1 | (128 << 10) << 3).to_bytes(3, "little") + b"x"
    (tmp_path / "bomb.tar.zst").write_bytes(header + repeated * 25_000 + b"\1\0\0")
    refused(there, tmp_path / "bomb.tar.zst", "could unpack to 3,276,")


def test_an_overlong_header_is_refused(tmp_path: Path, there: Store) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        header = member("games/x")
        header.type, header.size = kind, 3 << 30
        content = header.tobuf() + os.urandom(4 << 20)
        refused(there, packed(tmp_path / "header.tar.zst", content), "a member header larger than")


def test_a_member_larger_than_the_free_space_is_refused(
    tmp_path: Path, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = member("games/model.safetensors")
    large.size = 1 << 60
    content = large.tobuf(tarfile.GNU_FORMAT) + b"x" * 512
    refused(there, packed(tmp_path / "large.tar.zst", content), "disk is full")


def test_too_many_duplicate_and_invalid_members_are_refused(
    tmp_path: Path, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_MEMBERS", 3)
    path = tmp_path / "x.tar.zst"
    refused(there, evil(path, *(member(f"games/{number}") for number in range(4))), "more than 3 files")
    refused(there, evil(path, member("games/x"), member("games/./x")), "twice")
    refused(there, evil(path, member("games/" + "a/" * 9 + "x")), "not allowed in an archive")
    refused(there, evil(path, member("games/\x1b[2Jx")), "not allowed in an archive")
    refused(there, evil(path, member("games/x", tarfile.GNUTYPE_SPARSE)), "not allowed in an archive")
    refused(there, evil(path, member("games/x"), member("games/x/y")), "cannot be unpacked")
    refused(there, evil(path, member("games/" + "x" * 300)), "cannot be unpacked")


def test_control_characters_in_names_are_not_printed(store: Store, tmp_path: Path) -> None:
    path = evil(tmp_path / "x\x1b[2J\x9b.tar.zst", member("games/\x1b]0;owned\x07"))
    result = CliRunner().invoke(app, ["store", "import", str(path)])
    assert result.exit_code == 1
    assert "not allowed in an archive" in result.stderr
    assert not [one for one in result.stderr if not one.isprintable() and one != "\n"]
