"""Export and import of artefacts."""

import tarfile
from pathlib import Path

import pytest
import zstandard
from archives import evil, make, member
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.store.archive import adopt_all, export_archive, import_archive, lineage
from llamarec_cli.store.manifest import Kind, Manifest, read_manifest, write_manifest
from llamarec_cli.store.registry import Artefact, Store


@pytest.fixture
def full(store: Store) -> Store:
    make(store, "games", Kind.DATASET)
    make(store, "base", Kind.BASE_MODEL)
    make(store, "games/lrurec", Kind.RETRIEVER, ("games",))
    make(store, "games/base", Kind.RANKER, ("games", "base", "games/lrurec"))
    make(store, "other", Kind.DATASET)
    return store


def test_a_model_is_exported_with_its_ancestors(full: Store, tmp_path: Path) -> None:
    archive = tmp_path / "games.tar.zst"
    export_archive(lineage(full, "games/base"), archive)
    there = Store(tmp_path / "there")
    added = import_archive(there, archive)
    assert set(added) == {"games", "base", "games/lrurec", "games/base"}
    assert added.index("games") < added.index("games/lrurec") < added.index("games/base")
    assert all(not there.verify(name) for name in added)
    assert there.open("games/base").manifest == full.open("games/base").manifest
    assert import_archive(there, archive) == []


def test_base_models_may_be_left_out(full: Store, tmp_path: Path) -> None:
    names = [one.manifest.name for one in lineage(full, "games/base", base_models=False)]
    assert names == ["games", "games/lrurec", "games/base"]


def test_the_same_artefacts_give_the_same_bytes(full: Store, tmp_path: Path) -> None:
    for name in ("a.tar.zst", "b.tar.zst"):
        export_archive(lineage(full, "games/lrurec"), tmp_path / name)
    assert (tmp_path / "a.tar.zst").read_bytes() == (tmp_path / "b.tar.zst").read_bytes()


def test_another_artefact_of_the_same_name_is_not_touched(full: Store, tmp_path: Path) -> None:
    export_archive(lineage(full, "games/lrurec"), tmp_path / "games.tar.zst")
    there = Store(tmp_path / "there")
    make(there, "games", Kind.DATASET, content=b"precious")
    with pytest.raises(LlamaRecError, match="holds a different games"):
        import_archive(there, tmp_path / "games.tar.zst")
    assert (there.path_of("games") / "model.safetensors").read_bytes() == b"precious"
    assert "games/lrurec" not in there


def test_an_existing_file_is_not_overwritten(full: Store, tmp_path: Path) -> None:
    (tmp_path / "games.tar.zst").write_text("precious")
    with pytest.raises(LlamaRecError, match="exists already"):
        export_archive(lineage(full, "games"), tmp_path / "games.tar.zst")
    with pytest.raises(LlamaRecError, match=r"does not end in \.tar\.zst"):
        export_archive(lineage(full, "games"), tmp_path / "games.zip")


@pytest.mark.parametrize(
    "wrong",
    [
        member("../escaped/file"),
        member("games/../../escaped"),
        member("/tmp/escaped/file"),
        member("games\\..\\escaped/x"),
        member("manifest.json"),
        member("games/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("games/link", tarfile.LNKTYPE, "../secret"),
        member("games/pipe", tarfile.FIFOTYPE),
        member("games/device", tarfile.CHRTYPE),
    ],
    ids=lambda info: info.name,
)
def test_members_other_than_files_in_artefact_folders_are_refused(
    store: Store, tmp_path: Path, wrong: tarfile.TarInfo
) -> None:
    with pytest.raises(LlamaRecError, match="not allowed in an archive"):
        import_archive(store, evil(tmp_path / "evil.tar.zst", member("games/ok"), wrong))
    assert store.artefacts() == []
    # Wherever a member might have got out to: beside the staging folder, above the home, or where it named.
    assert not list(tmp_path.rglob("escaped*"))
    assert not Path("/tmp/escaped").exists()
    assert not [path for path in (store.home / "staging").iterdir() if path.is_dir()]


@pytest.mark.parametrize("content", [b"", b"no archive", zstandard.ZstdCompressor().compress(b"no tar")])
def test_other_files_are_refused(store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar.zst").write_bytes(content)
    with pytest.raises(LlamaRecError):
        import_archive(store, tmp_path / "x.tar.zst")
    with pytest.raises(LlamaRecError, match="no file"):
        import_archive(store, tmp_path / "nowhere.tar.zst")


@pytest.mark.parametrize("damage", ["change", "remove", "add", "rename"])
def test_a_damaged_artefact_is_not_imported(full: Store, tmp_path: Path, damage: str) -> None:
    folder = full.path_of("games/lrurec")
    match damage:
        case "change":
            (folder / "model.safetensors").write_bytes(b"TENSORS")
        case "remove":
            (folder / "model.safetensors").unlink()
        case "add":
            (folder / "extra.safetensors").write_bytes(b"x")
        case "rename":
            folder = folder.rename(folder.with_name("games--other"))
    export_archive([full.open("games"), Artefact(folder, read_manifest(folder))], tmp_path / "games.tar.zst")
    there = Store(tmp_path / "there")
    with pytest.raises(LlamaRecError, match=r"damaged|has the manifest of"):
        import_archive(there, tmp_path / "games.tar.zst")
    assert there.artefacts() == []


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
def test_cycles_and_too_many_ancestors_are_refused(
    store: Store, tmp_path: Path, parents: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises(LlamaRecError, match=sentence):
        adopt_all(store, pretend(tmp_path / "graph", parents))
    assert store.artefacts() == []


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("/dev/full/x.tar.zst", "There is no folder /dev/full"),
        ("nowhere/x.tar.zst", "There is no folder"),
        ("x" * 300 + ".tar.zst", "File name too long"),
        ("folder.tar.zst", "is a folder"),
    ],
)
def test_an_unwritable_archive_is_refused_before_the_work(
    store: Store, tmp_path: Path, place: str, sentence: str
) -> None:
    make(store, "games", Kind.DATASET)
    (tmp_path / "folder.tar.zst").mkdir()
    result = CliRunner().invoke(app, ["store", "export", "games", str(tmp_path / place)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert sentence in result.stderr


def test_a_failed_export_leaves_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(store, "games", Kind.DATASET)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_archive(lineage(store, "games"), tmp_path / "games.tar.zst", interrupted)
    assert not list(tmp_path.glob("games.tar.zst*"))
