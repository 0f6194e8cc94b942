"""Homes that came from somewhere else: with code, pickles, links to what is the user's, and rankers that are traps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from generated import planted
from generated.checking import Case
from generated.homes import make_fit
from generated.world import World

_RECOMMEND = "recommend --dataset shop --ranker shop/signals --history hist.json --json"
_COMMANDS = (
    (_RECOMMEND,),
    ("recommend --dataset shop --ranker shop/signals --history hist.json --no-fusion",),
    ("recommend --dataset shop --ranker shop/signals --history hist.json --strategy likelihood",),
    ("store list",),
    ("store verify",),
    ("store show shop/signals",),
    ("store export shop/signals out.tar.zst",),
    ("store prune --yes", "home/work", "home/downloads"),
    ("store remove shop/lrurec --yes --force", "home/artefacts/shop--lrurec"),
    ("store remove shop --yes --force", "home/artefacts/shop"),
    ("prepare shop --interactions log.csv --items items.csv --min-count 3 --replace", "home/artefacts/shop"),
    ("train retriever --dataset shop --config c.toml --replace", "home/artefacts/shop--lrurec", "home/work"),
    ("evaluate --dataset shop --ranker shop/signals",),
    ("doctor",),
)


def home(random: Random, world: World, trace: Path) -> list[Case]:
    """Two commands on such a home."""
    mine = world / "mine"
    (mine / "deep").mkdir(parents=True)
    for name in ("a.txt", "deep/b.txt", "manifest.json", "x.safetensors"):
        (mine / name).write_text("mine")
    told = random.choice(_PLANTS)(world, random, trace)
    lines = random.sample(_COMMANDS, 2)
    changes = tuple(change for line in lines for change in line[1:])
    return [Case(line[0].split(), stdin=b"y\n" * 9, changes=changes, told=told) for line in lines]


def _artefact(world: World, random: Random) -> Path:
    return world.home / "artefacts" / random.choice(["shop", "shop--lrurec", "shop--signals", "shop--popularity"])


def _with_code(world: World, random: Random, trace: Path) -> str:
    place = _artefact(world, random)
    name = random.choice([planted.code, planted.a_pickle])(place, random, trace)
    if random.random() < 0.5:
        planted.changed(
            place / "manifest.json", lambda value: value["files"].update({name: {"sha256": "", "bytes": 0}})
        )
        make_fit(place)
    return f"{name!r} in {place.name}"


def _with_a_link(world: World, random: Random, trace: Path) -> str:
    """Part of the home is a link to what is the user's."""
    kind = random.choice(
        ["artefact", "file", "staging", "locks", "work", "downloads", "inside staging", "inside work", "inside"]
    )
    folders = {
        "artefact": _artefact(world, random),
        **{one: world.home / one for one in ("staging", "locks", "work", "downloads")},
    }
    files = {
        "file": random.choice(sorted(path for path in (world.home / "artefacts").rglob("*") if path.is_file())),
        "inside work": world.home / "work" / "shop--lrurec.safetensors",
    }
    if kind in folders:
        path, target = folders[kind], world / "mine"
        _moved(path, target, keeps=random.random() < 0.5)
    elif kind in files:
        path, target = files[kind], world / "mine" / "x.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
    else:
        path = world.home / ("staging/abcdef012345" if kind == "inside staging" else "artefacts/shop/inside")
        path.parent.mkdir(exist_ok=True)
        (path.parent / "abcdef012345.lock").touch() if kind == "inside staging" else None
        target = world / "mine"
    path.symlink_to(target)
    return f"a link, {kind}, at {path.relative_to(world.home)}"


def _moved(path: Path, target: Path, keeps: bool) -> None:
    """Make room for a link; what was there may lie in its target now."""
    if path.is_dir():
        if keeps:
            shutil.copytree(path, target, dirs_exist_ok=True)
        shutil.rmtree(path)


def _with_a_trap(world: World, random: Random, trace: Path) -> str:
    """A ranker names a base model that brings code, or a way to read it that needs an adapter in a pickle."""
    evil = world / "evil"
    shutil.copytree(world.base, evil)
    planted.code(evil, random, trace)
    planted.a_pickle(evil, random, trace)
    planted.changed(evil / "config.json", lambda value: value.update(auto_map={"AutoModelForCausalLM": "evil.Model"}))
    place = world.home / "artefacts" / "shop--signals"
    value = json.loads((place / "manifest.json").read_text())
    base = random.choice([str(evil), str(evil), "../evil", "owner/evil", "smollm2-135m", "", "\x1b[2J"])
    value["parents"] = {**value["parents"], base: "0" * 64}
    value["config"] |= {
        "base": base,
        "strategy": random.choice(["verbalizer", "likelihood", "pointwise", "signals", "evil"]),
    }
    if random.random() < 0.5:
        value["metrics"]["fusion"]["chosen"] = random.choice(["all", "likelihood", "verbalizer", "evil"])
    for name in ("adapter_config.json", "adapter_model.bin"):
        if random.random() < 0.5:
            (place / name).write_text('{"peft_type": "LORA", "auto_mapping": {"base_model_class": "Evil"}}')
            value["files"][name] = {"sha256": "", "bytes": 0}
    (place / "manifest.json").write_text(json.dumps(value))
    make_fit(place)
    return f"base {base[-10:]!r}, strategy {value['config']['strategy']}"


_PLANTS: tuple[Callable[[World, Random, Path], str], ...] = (
    _with_code,
    _with_a_link,
    _with_a_link,
    _with_a_trap,
    _with_a_trap,
)
