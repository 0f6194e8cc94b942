"""Homes whose files and folders are damaged, are something else, or are somebody else's."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import zstandard
from generated import mutations, places
from generated.checking import Case
from generated.world import World

_FOLDERS = ("artefacts", "staging", "locks", "work", "downloads", "digests", "lists", ".llamarec-home")
_STATE, _DIGESTS = "work/shop--lrurec.safetensors", "digests/files.json"
# Names that the program gives to what it makes, and some that are close to them.
_FOREIGN = (
    "staging/mine.txt", "staging/abcdef012345/mine.txt", "staging/ABCDEF012345.lock",
    "staging/abcdef012345-replaced-shop/mine.txt", "locks/mine.txt", "locks/shop.lock/mine.txt", "locks/Mine.lock",
    "work/mine.txt", "downloads/mine.txt", "downloads/x/mine.txt", "artefacts/mine.txt", "artefacts/mine/mine.txt",
    "artefacts/shop/mine.txt", "artefacts/shop--lrurec/x/mine.txt", "mine.txt", "artefacts/other/mine.txt",
    "artefacts/shop--new/mine.txt", "artefacts/\x1b[2J/mine.txt", "artefacts/un\udce9/mine.txt",
)  # fmt: skip
# Command lines, and what each is asked to change.
_COMMANDS = (
    ("store list",),
    ("store list --json",),
    ("store show NAME",),
    ("store verify",),
    ("store verify NAME --json",),
    ("store remove NAME --yes --force", "PLACE"),
    ("store prune --yes", "home/work", "home/downloads"),
    ("store export NAME out.tar.zst",),
    ("store import shop.tar.zst",),
    ("doctor --json",),
    ("RECOMMEND --history hist.json --json",),
    ("RECOMMEND --input users.jsonl --output out.jsonl",),
    ("RECOMMEND --input users.jsonl --output done.jsonl --resume",),
    ("evaluate --dataset shop",),
    ("evaluate --dataset shop --ranker shop/signals --json",),
    ("train retriever --dataset shop --config c.toml --replace", "home/artefacts/shop--lrurec", "home/work"),
    ("train retriever --dataset shop --model popularity --replace", "home/artefacts/shop--popularity", "home/work"),
    ("train ranker --dataset shop --retriever shop/lrurec --strategy signals --base BASE --name shop/new",),
    ("prepare shop --interactions log.csv --min-count 1 --replace", "home/artefacts/shop"),
    ("prepare other --interactions log.csv --items items.csv",),
)


def damaged_home(random: Random, world: World) -> Case:
    """Any command on a home in which something is not as it was left."""
    told, environment = random.choices(_DAMAGES, _WEIGHTS)[0](random, world)
    arguments, changes = _command(random, world)
    return Case(arguments, environment=environment, changes=changes, told=told)


def _command(random: Random, world: World) -> tuple[list[str], tuple[str, ...]]:
    line, *changes = random.choice(_COMMANDS)
    name = random.choice(["shop", "shop/lrurec", "shop/popularity", "shop/signals"])
    line = line.replace("NAME", name).replace("RECOMMEND", "recommend --dataset shop --ranker shop/signals")
    line = line.replace("BASE", str(world.base))
    return line.split(), tuple(one.replace("PLACE", f"home/artefacts/{name.replace('/', '--')}") for one in changes)


def something_else(random: Random, world: World) -> tuple[str, dict[str, str]]:
    """A folder or file of the home is a pipe, a device, a link, or the other."""
    inside = sorted(path for path in world.home.rglob("*") if path.is_file())
    kept = [world.home / name for name in (*_FOLDERS, _STATE, _DIGESTS)]
    path = random.choice(kept) if random.random() < 0.6 else random.choice(inside)
    told = f"{path.relative_to(world.home)} is {places.replace(path, random)}"
    return told, {}


def changed_bytes(random: Random, world: World) -> tuple[str, dict[str, str]]:
    """A file holds other bytes, with its manifest made to fit them or not."""
    path = random.choice(sorted(path for path in (world.home / "artefacts").rglob("*") if path.is_file()))
    path.write_bytes(mutations.mutated(path.read_bytes(), random))
    if fitted := path.name != "manifest.json" and random.random() < 0.7:
        make_fit(path.parent)
    return f"bytes of {path.relative_to(world.home)}{', and the manifest fits' if fitted else ''}", {}


def changed_tensors(random: Random, world: World) -> tuple[str, dict[str, str]]:
    """A file of tensors says something else about them, and the manifest fits."""
    path = random.choice(sorted((world.home / "artefacts").rglob("*.safetensors")))
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = mutations.changed_json(json.loads(content[8 : 8 + length]), random)
    text = mutations.json_text(header)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    make_fit(path.parent)
    return f"header of {path.relative_to(world.home)}", {}


def changed_numbers(random: Random, world: World) -> tuple[str, dict[str, str]]:
    """Tensors have the right form and other numbers, and the manifest fits."""
    path = random.choice(sorted((world.home / "artefacts").rglob("*.safetensors")))
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    body = bytearray(content[begin:])
    for _ in range(random.choice([1, 4, 100])):
        if body:
            body[random.randrange(len(body))] = random.choice([0, 1, 0x7F, 0x80, 0xFF])
    path.write_bytes(content[:begin] + bytes(body))
    make_fit(path.parent)
    return f"numbers of {path.relative_to(world.home)}", {}


def changed_manifest(random: Random, world: World) -> tuple[str, dict[str, str]]:
    path = random.choice(sorted((world.home / "artefacts").rglob("manifest.json")))
    value = json.loads(path.read_text())
    for _ in range(random.choice([1, 1, 3])):
        value = mutations.changed_json(value, random)
    path.write_bytes(mutations.nested(random).encode() if random.random() < 0.1 else mutations.json_text(value))
    return f"manifest of {path.parent.name}", {}


def changed_lines(random: Random, world: World) -> tuple[str, dict[str, str]]:
    """Ids and titles of a data set are other JSON, and the manifest fits."""
    path = random.choice(sorted((world.home / "artefacts").rglob("*.jsonl")))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines = mutations.changed_json(lines, random)
    path.write_bytes(
        b"".join(mutations.json_text(one) + b"\n" for one in (lines if isinstance(lines, list) else [lines]))
    )
    make_fit(path.parent)
    return f"lines of {path.name}", {}


def gone(random: Random, world: World) -> tuple[str, dict[str, str]]:
    path = random.choice(sorted(world.home.rglob("*")))
    places.remove(path)
    return f"no {path.relative_to(world.home)}", {}


def foreign(random: Random, world: World) -> tuple[str, dict[str, str]]:
    """Files of somebody else's lie in the home, or it is no home at all."""
    if marked := random.random() < 0.7:
        pass
    elif random.random() < 0.5:
        shutil.rmtree(world.home)
    else:
        places.remove(world.home / ".llamarec-home")
    for name in random.sample(_FOREIGN, random.choice([1, 2, 5])):
        path = world.home / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("mine")
    return f"files of others{'' if marked else ', and no mark'}", {}


def another_home(random: Random, world: World) -> tuple[str, dict[str, str]]:
    name = places.another_name(world.home, random) if random.random() < 0.5 else random.choice(places.NAMES)
    return "another home", {"LLAMAREC_HOME": name.replace("\0", "")}


def left_behind(random: Random, world: World) -> tuple[str, dict[str, str]]:
    """What a process that was killed may have left, or what looks like it."""
    state = world.home / _STATE
    state.parent.mkdir(exist_ok=True)
    weights = (world.home / "artefacts/shop--lrurec/model.safetensors").read_bytes()
    state.write_bytes(random.choice([mutations.mutated(weights, random), weights, b""]))
    if random.random() < 0.2:
        places.replace(state, random)
    for kept in (_DIGESTS, *(f"lists/{path.name}" for path in sorted((world.home / "lists").glob("*")))):
        path = world.home / kept
        if path.is_file() and random.random() < 0.5:
            value = json.loads(path.read_bytes())
            text = mutations.json_text(mutations.changed_json(value, random))
            path.write_bytes(random.choice([text, mutations.mutated(text, random), mutations.nested(random).encode()]))
    return "states and notes", {}


def make_fit(folder: Path) -> None:
    """Make a manifest say of each of its files what that is."""
    path = folder / "manifest.json"
    manifest: dict[str, Any] = json.loads(path.read_text())
    for name, record in manifest["files"].items():
        content = (folder / name).read_bytes()
        record |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    path.write_text(json.dumps(manifest))


_Damage = Callable[[Random, World], tuple[str, dict[str, str]]]
_DAMAGES: tuple[_Damage, ...] = (
    something_else, changed_bytes, changed_tensors, changed_numbers, changed_manifest, changed_lines, gone, foreign,
    another_home, left_behind,
)  # fmt: skip
_WEIGHTS = (4, 3, 3, 2, 5, 2, 2, 3, 2, 3)


def damaged_archive(random: Random, world: World) -> Case:
    """`store import` of what was an archive."""
    if random.random() < 0.7:
        shutil.rmtree(world.home)
    path = world / "shop.tar.zst"
    content = path.read_bytes()
    if random.random() < 0.7:
        unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(content)
        content = zstandard.ZstdCompressor(write_checksum=True).compress(mutations.mutated(unpacked, random))
    else:
        content = mutations.mutated(content, random)
    path.write_bytes(content)
    return Case(["store", "import", path.name, *random.choice([[], ["--json"]])], told="archive")
