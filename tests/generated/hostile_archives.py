"""Archives with ways out, bombs, rings of parents, code, pickles and texts that would steer the terminal."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import zstandard
from generated import mutations, planted
from generated.checking import Case
from generated.homes import make_fit
from generated.world import World

_STEERING = ("\x1b[2J", "\x1b]0;owned\x07", "\x9b2J", "\r", "\x08" * 9, "\u202e", "\x00", "\x7f")
_WAYS_OUT = (
    "../../out", "/tmp/llamarec-hostile-out", "shop/../../../out", "shop/..\\..\\out", "shop/./x/../../../out",
    "./../out", "..", "shop//../../out", "C:\\out", "shop/x\x00/out", "~/out", "shop/" + "a/" * 2000 + "x",
    "shop/" + "x" * 300, "", "shop", "manifest.json",
)  # fmt: skip
_AFTERWARDS = (
    "store list",
    "store show shop/lrurec",
    "store verify",
    "store list --json",
    "store remove shop --yes --force",
)


def archive(random: Random, world: World, trace: Path) -> list[Case]:
    """`store import`, and then a look at what was taken in."""
    folder = world / "unpacked"
    shutil.copytree(world.home / "artefacts", folder)
    shutil.rmtree(folder / "shop--signals.test", ignore_errors=True)
    told = random.choice(_PLANTS)(folder, random, trace)
    if random.random() < 0.8:
        shutil.rmtree(world.home)
    members = _members(folder)
    if random.random() < 0.5:
        extra, why = _extra(random)
        place = random.randrange(len(members) + 1)
        members[place:place] = extra
        told += f", {why}"
    content = _packed(members, random)
    (world / "evil.tar.zst").write_bytes(_spoilt(content, random))
    shutil.rmtree(folder)
    removed = ("home/artefacts/shop",)
    after = random.choice(_AFTERWARDS).split()
    return [
        Case(["store", "import", "evil.tar.zst"], stdin=b"y\n" * 9, told=told),
        Case(after, told=f"{told}; afterwards", changes=removed if "remove" in after else ()),
    ]


_Member = tuple[tarfile.TarInfo, bytes]


def _members(folder: Path) -> list[_Member]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            info = tarfile.TarInfo(str(path.relative_to(folder)))
            content = path.read_bytes()
            info.size = len(content)
            found.append((info, content))
    return found


def _extra(random: Random) -> tuple[list[_Member], str]:
    """Members that have no place in an archive."""
    info = tarfile.TarInfo(
        random.choice(["shop/evil", "shop--lrurec/model.safetensors", "evil/x", "shop/manifest.json"])
    )
    match random.randrange(6):
        case 0:
            info.name = random.choice(_WAYS_OUT)
            info.size = 4
            return [(info, b"evil")], f"a way out, {info.name[:40]!r}"
        case 1:
            info.type = random.choice([tarfile.SYMTYPE, tarfile.LNKTYPE])
            info.linkname = random.choice(["/etc/passwd", "../../..", "manifest.json", "../../mine.txt", "/dev/zero"])
            through = tarfile.TarInfo(f"{info.name}/out")
            through.size = 4
            return [(info, b""), (through, b"evil")], f"a link to {info.linkname}"
        case 2:
            info.type = random.choice(
                [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CONTTYPE, b"Z"]
            )
            return [(info, b"")], f"type {info.type!r}"
        case 3:
            info.size = random.choice([2**33, 2**60, 10**6])
            return [(info, b"evil")], "a size that is a lie"
        case 4:
            info.name = f"shop/{random.choice(_STEERING)}x"
            info.size = 4
            return [(info, b"evil")], "a name that steers"
        case _:
            info.size = 4
            return [(info, b"evil"), (info, b"evil")], "twice the same"


def _packed(members: list[_Member], random: Random) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=random.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])) as tar:
        for info, content in members:
            if random.random() < 0.02:
                info.pax_headers = random.choice(
                    [{"path": "../../out"}, {"size": "99999999999"}, {"GNU.sparse.map": "0,9"}, {"x": "y" * 10**6}]
                )
            raw.write(info.tobuf(tar.format))
            raw.write(content + bytes(-len(content) % 512))
        raw.write(bytes(random.choice([1024, 1024, 1024, 0, 512, 10_240])))
    return raw.getvalue()


def _spoilt(content: bytes, random: Random) -> bytes:
    match random.randrange(9):
        case 0:
            content = mutations.mutated(content, random)
        case 1:
            content += bytes(random.choice([80, 300]) << 20)
        case 2:
            return zstandard.ZstdCompressor().compress(content) * 2
        case 3:
            return mutations.mutated(zstandard.ZstdCompressor().compress(content), random)
        case 4:
            return zstandard.ZstdCompressor().compress(content)[: random.randrange(2000)]
        case 5:
            return zstandard.ZstdCompressor().compressobj().flush()[:6] + _repeated() + b"\1\0\0"
    return zstandard.ZstdCompressor(level=1, write_checksum=random.random() < 0.5).compress(content)


def _repeated() -> bytes:
    """Blocks of four bytes that unpack to 128 kB each."""
    return ((1 << 1 | (128 << 10) << 3).to_bytes(3, "little") + b"x") * 25_000


def _with_code(folder: Path, random: Random, trace: Path) -> str:
    place = random.choice(sorted(folder.iterdir()))
    plant = random.choice([planted.code, planted.a_pickle])
    name = plant(place, random, trace)
    if listed := random.random() < 0.8:
        planted.changed(
            place / "manifest.json", lambda value: value["files"].update({name: {"sha256": "", "bytes": 0}})
        )
        make_fit(place)
    return f"{name!r}{'' if listed else ', not listed,'} in {place.name}"


def _with_parents(folder: Path, random: Random, trace: Path) -> str:
    """Rings of parents, and more of them than anything is made from."""
    kind = random.choice(["ring", "itself", "generations", "ways", "many", "odd"])
    names = ["shop", "shop/lrurec", "shop/popularity", "shop/signals"]
    parents: dict[str, list[str]] = {"shop": ["shop/signals"]} if kind == "ring" else {"shop": ["shop"]}
    if kind == "generations":
        parents = {f"a{number}": [f"a{number - 1}"] if number else [] for number in range(80)}
    elif kind == "ways":
        parents = {f"{side}{row}": [f"a{row - 1}", f"b{row - 1}"] if row else [] for row in range(24) for side in "ab"}
    elif kind == "many":
        parents = {"shop": [f"b{number}" for number in range(3000)]}
    elif kind == "odd":
        parents = {random.choice(names): [random.choice([*mutations.WORDS, *_STEERING, "../../x", "/etc"])]}
    for name, made_from in parents.items():
        place = folder / name.replace("/", "--")
        if not place.exists():
            shutil.copytree(folder / "shop", place)
        digests = dict.fromkeys(made_from, "0" * 64)
        planted.changed(
            place / "manifest.json", lambda value, name=name, digests=digests: value.update(name=name, parents=digests)
        )
    return f"parents: {kind}"


def _with_texts(folder: Path, random: Random, trace: Path) -> str:
    """Texts that would steer the terminal, wherever a manifest holds one."""
    path = random.choice(sorted(folder.rglob("manifest.json")))
    text = random.choice(_STEERING) + "evil" + random.choice(_STEERING)
    field = random.choice(["name", "command", "kind", "config", "metrics", "versions", "files", "parents"])

    def change(value: dict[str, Any]) -> None:
        if isinstance(value[field], dict):
            value[field][random.choice([text, "dataset", "base"])] = text
        else:
            value[field] = text

    planted.changed(path, change)
    return f"{field} of {path.parent.name} steers"


def _with_other_manifests(folder: Path, random: Random, trace: Path) -> str:
    path = random.choice(sorted(folder.rglob("manifest.json")))
    planted.changed(path, lambda value: mutations.changed_json(value, random))
    return f"manifest of {path.parent.name}"


def _with_lies(folder: Path, random: Random, trace: Path) -> str:
    """Files that a manifest says lie elsewhere, or that are not there."""
    path = random.choice(sorted(folder.rglob("manifest.json")))
    name = random.choice(["../../../mine.txt", "/etc/passwd", "nothing", "a/../../x", *_STEERING])
    record = random.choice([{"sha256": "0", "bytes": 1}, {"sha256": None, "bytes": 1}, {}, 3])
    value = json.loads(path.read_text())
    value["files"][name] = record
    path.write_text(json.dumps(value))
    return f"file {name!r}"


_PLANTS: tuple[Callable[[Path, Random, Path], str], ...] = (
    _with_code, _with_code, _with_parents, _with_texts, _with_texts, _with_other_manifests, _with_lies,
)  # fmt: skip
