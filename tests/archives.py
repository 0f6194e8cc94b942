"""Archives and artefacts as small as they can be, honest ones and hostile ones."""

import io
import tarfile
from pathlib import Path

import zstandard

from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Store


def make(store: Store, name: str, kind: Kind, parents: tuple[str, ...] = (), content: bytes = b"tensors") -> None:
    digests = {parent: store.open(parent).manifest.digest for parent in parents}
    with store.stage(Manifest(name, kind, config={}, parents=digests, metrics={}, command="test")) as folder:
        (folder / "model.safetensors").write_bytes(content)


def evil(path: Path, *members: tarfile.TarInfo) -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    path.write_bytes(zstandard.ZstdCompressor().compress(raw.getvalue()))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 1 if kind == tarfile.REGTYPE else 0
    return info
