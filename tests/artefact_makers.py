"""Artefacts as small as they can be, and what a maker of one leaves behind."""

from pathlib import Path

from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store

# What a maker that was killed, and one that lives, call their folders in staging.
DEAD, ALIVE = "dead00000000", "a11fe0000000"


def manifest_of(name: str, parents: dict[str, str] | None = None) -> Manifest:
    return Manifest(name, Kind.RETRIEVER, config={"width": 64}, parents=parents or {}, metrics={}, command="llamarec x")


def make(store: Store, name: str, content: bytes = b"tensors", replace: bool = False) -> None:
    with store.stage(manifest_of(name), replace=replace) as folder:
        (folder / "model.safetensors").write_bytes(content)


def left_overs(store: Store) -> list[Path]:
    return [path for path in (store.home / "staging").iterdir() if path.is_dir()]
