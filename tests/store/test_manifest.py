"""Manifests: their digest, and what is refused when one is read."""

import json
from pathlib import Path
from typing import Any

import pytest
from artefact_makers import make, manifest_of

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.store.archive import adopt_all
from llamarec_cli.store.manifest import MANIFEST_FILE, Kind, Manifest, write_manifest
from llamarec_cli.store.registry import Store


def test_the_digest_covers_the_payload_only(store: Store) -> None:
    for name, config in (("a", b"{}"), ("b", b'{"transformers_version": "6"}')):
        with store.stage(manifest_of(name)) as folder:
            (folder / "model.safetensors").write_bytes(b"tensors")
            (folder / "config.json").write_bytes(config)
    make(store, "c", b"others")
    digests = [store.open(name).manifest.digest for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_another_schema_and_a_malformed_manifest_are_refused(store: Store) -> None:
    make(store, "games")
    path = store.path_of("games") / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(LlamaRecError, match="schema 99"):
        store.open("games")
    path.write_text('{"schema": 1')
    with pytest.raises(LlamaRecError, match="damaged"):
        store.open("games")


def test_a_converted_artefact_has_the_digest_of_its_source(store: Store) -> None:
    manifest = Manifest("base", Kind.BASE_MODEL, {"source_sha256": "abc"}, parents={}, metrics={}, command="x")
    with store.stage(manifest) as folder:
        (folder / "model.safetensors").write_bytes(b"rounded one way")
    assert store.open("base").manifest.digest == "abc"


def pretend(folder: Path, parents: dict[str, list[str]]) -> Path:
    """Write artefacts that say what they were made from."""
    for name, made_from in parents.items():
        place = folder / name
        place.mkdir(parents=True)
        (place / "model.safetensors").write_bytes(name.encode())
        write_manifest(place, Manifest(name, Kind.RETRIEVER, {}, dict.fromkeys(made_from, "d"), {}, "test"))
    return folder


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
def test_a_manifest_with_invalid_names_is_damaged(store: Store, tmp_path: Path, fields: dict[str, Any]) -> None:
    import json

    folder = pretend(tmp_path / "one", {"games": []})
    path = folder / "games" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(LlamaRecError, match="manifest of games is damaged"):
        adopt_all(store, folder)
