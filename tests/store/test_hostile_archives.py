"""Archives that were cut, grew, or were made to do harm: a sentence, soon, and nothing taken or left."""

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
from llamarec_cli.store.archive import adopt_all, export_archive, import_archive, lineage
from llamarec_cli.store.manifest import Kind, Manifest, write_manifest
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


def test_cut_off_anywhere_it_is_refused(whole: Path, there: Store) -> None:
    content = whole.read_bytes()
    lengths = {len(content) * part // 20 for part in range(20)} | {len(content) - less for less in range(1, 9)}
    for length in sorted(lengths):
        whole.write_bytes(content[:length])
        refused(there, whole, r"is truncated|is not an archive")
    whole.write_bytes(content)
    assert import_archive(there, whole) == ["games", "games/lrurec"]


def test_a_tar_without_its_end_is_refused_though_it_was_packed_whole(whole: Path, there: Store) -> None:
    content = unpacked(whole)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        begins = [one.offset for one in archive.getmembers()] + [archive.offset]
    for cut in (begins[2], begins[-1], begins[-1] + 512):
        refused(there, packed(whole, content[:cut]), "its end is missing")
    # Exports of earlier versions have no checksum, and are read.
    assert import_archive(there, packed(whole, content)) == ["games", "games/lrurec"]


def test_what_stands_behind_the_end_is_refused(whole: Path, there: Store) -> None:
    packed_content, content = whole.read_bytes(), unpacked(whole)
    for more in (b"x", packed_content):
        whole.write_bytes(packed_content + more)
        refused(there, whole, "has data after its end")
    for more in (b"x" * 512, bytes(30_000) + b"x"):
        refused(there, packed(whole, content + more), "has data after its end")


def test_a_few_bytes_that_unpack_to_gigabytes_are_not_unpacked(tmp_path: Path, there: Store) -> None:
    header = zstandard.ZstdCompressor().compressobj().flush()[:6]
    repeated = (1 << 1 | (128 << 10) << 3).to_bytes(3, "little") + b"x"
    (tmp_path / "bomb.tar.zst").write_bytes(header + repeated * 25_000 + b"\1\0\0")
    refused(there, tmp_path / "bomb.tar.zst", "could unpack to 3,276,")


def test_a_header_of_megabytes_is_not_read(tmp_path: Path, there: Store) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        header = member("games/x")
        header.type, header.size = kind, 3 << 30
        content = header.tobuf() + os.urandom(4 << 20)
        refused(there, packed(tmp_path / "header.tar.zst", content), "a member header larger than")


def test_more_than_the_disk_has_room_for_is_not_unpacked(
    tmp_path: Path, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = member("games/model.safetensors")
    large.size = 1 << 60
    content = large.tobuf(tarfile.GNU_FORMAT) + b"x" * 512
    refused(there, packed(tmp_path / "large.tar.zst", content), "disk is full")


def test_members_are_counted_and_have_one_place_each(
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


def pretend(folder: Path, parents: dict[str, list[str]]) -> Path:
    """Write artefacts that say what they were made from."""
    for name, made_from in parents.items():
        place = folder / name
        place.mkdir(parents=True)
        (place / "model.safetensors").write_bytes(name.encode())
        write_manifest(place, Manifest(name, Kind.RETRIEVER, {}, dict.fromkeys(made_from, "d"), {}, "test"))
    return folder


def test_each_ancestor_is_visited_once(store: Store, tmp_path: Path) -> None:
    # 2 to the 27 ways lead from the last to the first.
    layers = {
        f"{side}{layer}": [f"a{layer - 1}", f"b{layer - 1}"] if layer else [] for layer in range(28) for side in "ab"
    }
    assert len(adopt_all(store, pretend(tmp_path / "graph", layers))) == 56
    assert len(lineage(store, "a27")) == 55
    assert lineage(store, "a27")[-1].manifest.name == "a27"


@pytest.mark.parametrize(
    ("parents", "sentence"),
    [
        ({f"a{number}": [f"a{number - 1}"] if number else [] for number in range(66)}, "more than 64 parents"),
        ({"a": [f"b{number}" for number in range(65)]}, "more than 64 parents"),
        ({"a": ["c"], "b": ["a"], "c": ["b"]}, "its own ancestor"),
        ({"a": ["a"]}, "its own ancestor"),
    ],
    ids=["generations", "parents", "a ring", "its own parent"],
)
def test_ancestors_that_nothing_has_are_refused(
    store: Store, tmp_path: Path, parents: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises(LlamaRecError, match=sentence):
        adopt_all(store, pretend(tmp_path / "graph", parents))
    assert store.artefacts() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "games\x1b[2J"},
        {"name": "../games"},
        {"name": "g" * 121},
        {"files": {"../../secret": {"sha256": "0", "bytes": 1}}},
        {"files": {"/etc/passwd": {"sha256": "0", "bytes": 1}}},
        {"files": {"model.safetensors": {"sha256": "0", "bytes": "1"}}},
    ],
    ids=str,
)
def test_a_manifest_that_leads_elsewhere_is_damaged(store: Store, tmp_path: Path, fields: dict[str, Any]) -> None:
    import json

    folder = pretend(tmp_path / "one", {"games": []})
    path = folder / "games" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(LlamaRecError, match="manifest of games is damaged"):
        adopt_all(store, folder)


def test_what_an_archive_is_called_and_holds_cannot_steer_the_terminal(store: Store, tmp_path: Path) -> None:
    path = evil(tmp_path / "x\x1b[2J\x9b.tar.zst", member("games/\x1b]0;owned\x07"))
    result = CliRunner().invoke(app, ["store", "import", str(path)])
    assert result.exit_code == 1
    assert "not allowed in an archive" in result.stderr
    assert not [one for one in result.stderr if not one.isprintable() and one != "\n"]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("/dev/full/x.tar.zst", "There is no folder /dev/full"),
        ("nowhere/x.tar.zst", "There is no folder"),
        ("x" * 300 + ".tar.zst", "File name too long"),
        ("folder.tar.zst", "is a folder"),
    ],
)
def test_an_archive_that_cannot_be_written_is_told_before_the_work(
    store: Store, tmp_path: Path, place: str, sentence: str
) -> None:
    make(store, "games", Kind.DATASET)
    (tmp_path / "folder.tar.zst").mkdir()
    result = CliRunner().invoke(app, ["store", "export", "games", str(tmp_path / place)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert sentence in result.stderr


def test_an_export_that_fails_leaves_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(store, "games", Kind.DATASET)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_archive(lineage(store, "games"), tmp_path / "games.tar.zst", interrupted)
    assert not list(tmp_path.glob("games.tar.zst*"))
