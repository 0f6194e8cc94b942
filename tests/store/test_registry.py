import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from artefact_makers import DEAD, left_overs, make, manifest_of
from safetensors import SafetensorError

from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.store.home import default_home
from llamarec_cli.store.manifest import MANIFEST_FILE, Kind, Manifest
from llamarec_cli.store.registry import Store


def test_an_artefact_is_whole_once_it_is_there(store: Store) -> None:
    make(store, "games/lrurec")
    artefact = store.open("games/lrurec", Kind.RETRIEVER)
    assert artefact.path == store.home / "artefacts" / "games--lrurec"
    assert artefact.manifest.files["model.safetensors"].bytes == 7
    assert artefact.manifest.versions["python"]
    assert "games/lrurec" in store
    assert not left_overs(store)


def test_equal_work_gives_equal_bytes(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "one"), Store(tmp_path / "two")]
    for store in stores:
        make(store, "games")
    one, two = (store.path_of("games") / MANIFEST_FILE for store in stores)
    assert one.read_bytes() == two.read_bytes()


def test_the_digest_covers_payload_not_library_versions(store: Store) -> None:
    for name, config in (("a", b"{}"), ("b", b'{"transformers_version": "6"}')):
        with store.stage(manifest_of(name)) as folder:
            (folder / "model.safetensors").write_bytes(b"tensors")
            (folder / "config.json").write_bytes(config)
    make(store, "c", b"others")
    digests = [store.open(name).manifest.digest for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_an_error_while_staging_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.stage(manifest_of("games")) as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert "games" not in store
    assert not left_overs(store)


def test_nothing_is_overwritten_silently(store: Store) -> None:
    make(store, "games")
    with pytest.raises(LlamaRecError, match="exists already"):
        make(store, "games", b"new")
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"tensors"
    make(store, "games", b"new", replace=True)
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"new"
    assert not left_overs(store)


def test_a_failed_replacement_keeps_the_old(store: Store) -> None:
    make(store, "games")
    with pytest.raises(RuntimeError), store.stage(manifest_of("games"), replace=True):
        raise RuntimeError
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"tensors"


def test_a_folder_without_manifest_does_not_exist(store: Store) -> None:
    make(store, "games")
    (store.path_of("games") / MANIFEST_FILE).unlink()
    assert "games" not in store
    assert store.artefacts() == []


@pytest.mark.parametrize("damage", [b"tensor", b"TENSORS"])
def test_damage_is_named(store: Store, damage: bytes) -> None:
    make(store, "games")
    (store.path_of("games") / "model.safetensors").write_bytes(damage)
    with pytest.raises(LlamaRecError, match=r"games is damaged: the checksum of model\.safetensors"):
        store.open("games")


def test_another_schema_and_a_broken_manifest_are_refused(store: Store) -> None:
    make(store, "games")
    path = store.path_of("games") / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(LlamaRecError, match="schema 99"):
        store.open("games")
    path.write_text('{"schema": 1')
    with pytest.raises(LlamaRecError, match="damaged"):
        store.open("games")


def test_missing_and_mistaken_names_suggest(store: Store) -> None:
    make(store, "games/lrurec")
    with pytest.raises(LlamaRecError, match="did you mean games/lrurec"):
        store.open("games/lrurek")
    with pytest.raises(LlamaRecError, match="is a retriever, not a dataset"):
        store.open("games/lrurec", Kind.DATASET)


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc", "A", "", "a--b", "a/b/c", ".hidden", "a b", "a/"])
def test_names_cannot_leave_the_store(store: Store, name: str) -> None:
    with pytest.raises(UsageError):
        store.path_of(name)


def test_removal_is_whole_and_counts_bytes(store: Store) -> None:
    make(store, "games")
    with store.stage(manifest_of("games/lrurec", parents={"games": "d"})) as folder:
        (folder / "model.safetensors").write_bytes(b"x")
    assert store.children_of("games") == ["games/lrurec"]
    assert store.remove("games") > 7
    assert [artefact.manifest.name for artefact in store.artefacts()] == ["games/lrurec"]
    assert not left_overs(store)


def test_an_artefact_from_elsewhere_is_checked_before_it_is_adopted(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    make(other, "games/lrurec")
    source = other.path_of("games/lrurec")
    store.adopt(source)
    assert store.open("games/lrurec").manifest == other.open("games/lrurec").manifest
    store.remove("games/lrurec")
    (source / "model.safetensors").write_bytes(b"TENSORS")
    with pytest.raises(LlamaRecError, match="damaged"):
        store.adopt(source)
    assert "games/lrurec" not in store
    assert not left_overs(store)


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LlamaRecError, match="cannot be used"):
        make(Store(tmp_path / "file" / "home"), "games")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_forbidden_home_is_a_sentence_whatever_is_forbidden(tmp_path: Path) -> None:
    (tmp_path / "forbidden").mkdir(mode=0o000)
    for home in (tmp_path / "forbidden" / "home", tmp_path / "forbidden" / "a" / "home"):
        with pytest.raises(LlamaRecError, match="cannot be used"):
            make(Store(home), "games")


def test_a_full_disk_is_a_sentence_and_leaves_nothing(store: Store) -> None:
    full = [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ]
    for error in full:
        with pytest.raises(LlamaRecError, match="disk is full"), store.stage(manifest_of("games")):
            raise error
    assert not left_overs(store)


def test_a_replacement_that_was_killed_between_its_renames_is_undone(store: Store) -> None:
    make(store, "games")
    aside = store.home / "staging" / f"{DEAD}-replaced-games"
    aside.with_name(f"{DEAD}.lock").touch()
    store.path_of("games").rename(aside)
    assert "games" not in store
    assert store.tidy() == ["games"]
    assert store.tidy() == []
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"tensors"


DYING = """
import os, shutil, signal, sys
from pathlib import Path
from artefact_makers import Store, make

steps = int(sys.argv[2])

def counted(step):
    def dies(*arguments, **options):
        global steps
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        steps -= 1
        return step(*arguments, **options)
    return dies

Path.rename, shutil.rmtree = counted(Path.rename), counted(shutil.rmtree)
make(Store(Path(sys.argv[1])), "games", b"new", replace=True)
"""


@pytest.mark.parametrize(("steps", "content"), [(0, b"old"), (1, b"old"), (2, b"new"), (3, b"new")])
def test_killed_at_any_step_of_a_replacement_the_store_holds_the_old_or_the_new(
    store: Store, steps: int, content: bytes
) -> None:
    make(store, "games", b"old")
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent), str(here.parents[1])])}
    process = subprocess.run([sys.executable, "-c", DYING, str(store.home), str(steps)], env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    assert (store.open("games").path / "model.safetensors").read_bytes() == content
    assert store.verify("games") == []
    make(store, "games", b"newer", replace=True)
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"newer"
    assert not left_overs(store)


def test_another_kind_is_not_replaced(store: Store) -> None:
    make(store, "games")
    other = Manifest("games", Kind.RANKER, config={}, parents={}, metrics={}, command="x")
    with (
        pytest.raises(LlamaRecError, match="is a retriever, which a ranker cannot replace"),
        store.stage(other, replace=True),
    ):
        pass


def test_who_comes_second_does_not_overwrite(store: Store) -> None:
    with pytest.raises(LlamaRecError, match="exists already"), store.stage(manifest_of("games")) as folder:
        (folder / "model.safetensors").write_bytes(b"late")
        make(store, "games", b"early")
    assert (store.open("games").path / "model.safetensors").read_bytes() == b"early"


def test_one_damaged_manifest_does_not_hide_the_others(store: Store) -> None:
    make(store, "games")
    make(store, "beauty")
    (store.path_of("games") / MANIFEST_FILE).write_text("{")
    assert [artefact.manifest.name for artefact in store.artefacts()] == ["beauty"]
    assert store.damaged() == ["games"]
    store.remove("games")
    assert store.damaged() == []
    make(store, "games")


def test_what_was_converted_is_known_by_what_it_was_converted_from(store: Store) -> None:
    manifest = Manifest("base", Kind.BASE_MODEL, {"source_sha256": "abc"}, parents={}, metrics={}, command="x")
    with store.stage(manifest) as folder:
        (folder / "model.safetensors").write_bytes(b"rounded one way")
    assert store.open("base").manifest.digest == "abc"


def test_the_home_is_the_variable_or_the_platform_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLAMAREC_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("LLAMAREC_HOME")
    assert default_home().name == "llamarec"
