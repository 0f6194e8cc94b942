"""Killed before any step on the file system, a command loses nothing, and the same command then does its work.

`LLAMAREC_KILLS` sets how many kills there are in all, and `LLAMAREC_SEED` which.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from generated.checking import Case, snapshot, wrong_files
from generated.warm import Ended, Warm
from generated.world import World, made_world, surroundings

KILLS = int(os.environ.get("LLAMAREC_KILLS", "24"))
SEED = int(os.environ.get("LLAMAREC_SEED", "1"))


@dataclass(frozen=True)
class Killed:
    """A command that is killed.

    Attributes:
        line: Its command line.
        changes: Files and folders that it was asked to change or to remove.
        begin: What is done to the world before it.
        gone: What it removes; once that is gone, there is nothing to be repeated.
    """

    line: str
    changes: tuple[str, ...] = ()
    begin: Callable[[World], None] = lambda _: None
    gone: str | None = None


def _without_a_home(world: World) -> None:
    shutil.rmtree(world.home)


def _with_a_shorter_log(world: World) -> None:
    lines = (world / "log.csv").read_text().splitlines(keepends=True)
    (world / "log.csv").write_text("".join(lines[:-16]))


_RECOMMEND = "recommend --dataset shop --ranker shop/signals --input users.jsonl"
_COMMANDS = {
    "prepare": Killed("prepare other --interactions log.csv --items items.csv"),
    "prepare again": Killed(
        "prepare shop --interactions log.csv --items items.csv --min-count 2 --replace",
        ("home/artefacts/shop",),
        begin=_with_a_shorter_log,
    ),
    "train": Killed("train retriever --dataset shop --model popularity --name shop/new"),
    "recommend": Killed(f"{_RECOMMEND} --output out.jsonl"),
    "recommend again": Killed(f"{_RECOMMEND} --output done.jsonl --top 3 --replace", ("done.jsonl",)),
    "import": Killed("store import shop.tar.zst", begin=_without_a_home),
    "export": Killed("store export shop/lrurec out.tar.zst"),
    "remove": Killed(
        "store remove shop/popularity --yes",
        ("home/artefacts/shop--popularity",),
        gone="home/artefacts/shop--popularity",
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Iterator[World]:
    with surroundings(tmp_path_factory.mktemp("surroundings")):
        yield made_world(tmp_path_factory.mktemp("kills"), tiny_base_folder)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    process = Warm(tmp_path_factory.mktemp("streams"))
    yield process
    process.close()


@pytest.mark.parametrize("name", _COMMANDS)
def test_killed(name: str, world: World, warm: Warm) -> None:
    command = _COMMANDS[name]
    whole = _begun(world, command)
    ended = warm.run(whole.folder, *command.line.split())
    assert (ended.code, ended.steps > 0) == (0, True), ended.stderr
    wanted = _results(whole)
    shutil.rmtree(whole.folder)
    share = -(-KILLS // len(_COMMANDS))
    steps = Random(SEED).sample(range(ended.steps), min(share, ended.steps))
    wrong = []
    for step in sorted(steps):
        own = _begun(world, command)
        wrong += [f"step {step} of {ended.steps}: {one}" for one in _killed(command, own, warm, step, wanted)]
        shutil.rmtree(own.folder)
    if wrong:
        pytest.fail(f"llamarec {command.line}, seed {SEED}\n  " + "\n  ".join(wrong), pytrace=False)


def _begun(world: World, command: Killed) -> World:
    own = world.copied()
    command.begin(own)
    return own


def _killed(command: Killed, own: World, warm: Warm, step: int, wanted: dict[str, str]) -> Iterator[str]:
    """Kill a command before a step, look at what is there, and repeat it."""
    case = Case(command.line.split(), changes=command.changes)
    before, listed = snapshot(own.folder), _listed(warm.run(own.folder, "store", "list", "--json"))
    if not warm.run(own.folder, *case.arguments, kill=step).killed:
        yield "it was not killed"
        return
    looked = warm.run(own.folder, "store", "list", "--json")
    if looked.code:
        yield f"store list: {looked.stderr}"
        return
    lost = {one for one in listed - _listed(looked) if f"home/artefacts/{one.replace('/', '--')}" != command.gone}
    if lost:
        yield f"lost: {', '.join(lost)}"
    yield from _left_over(own, "after the next command")
    again = _repeated(command, own, warm)
    if again is not None:
        yield f"repeated: exit code {again.code}, {again.stderr}"
        return
    yield from wrong_files(case, own, before, "")
    yield from _left_over(own, "in the end")
    verified = warm.run(own.folder, "store", "verify")
    if verified.code:
        yield f"store verify: {verified.stderr}"
    results = _results(own)
    for path in sorted({one for one in results.keys() | wanted.keys() if results.get(one) != wanted.get(one)}):
        yield f"not as without the kill: {path}"


def _repeated(command: Killed, own: World, warm: Warm) -> Ended | None:
    """Repeat a command, with what it asks for; return how it ended if that was not well."""
    if command.gone is not None and not (own / command.gone).exists():
        return None
    arguments = command.line.split()
    ended = warm.run(own.folder, *arguments)
    for option in ("--resume", "--replace"):
        if ended.code == 1 and option in ended.stderr and option not in arguments:
            ended = warm.run(own.folder, *arguments, option)
    return None if ended.code == 0 else ended


def _listed(ended: Ended) -> set[str]:
    return {one["name"] for one in json.loads(ended.stdout)["artefacts"]}


def _left_over(own: World, when: str) -> Iterator[str]:
    for folder in ("staging", "locks"):
        for path in sorted((own.home / folder).rglob("*")):
            yield f"left over {when}: {path.relative_to(own.folder)}"


def _results(own: World) -> dict[str, str]:
    """What a command made: all but manifests, which tell the command line, and what the program notes for itself."""
    found = snapshot(own.folder)
    return {
        path: content
        for path, content in found.items()
        if not path.endswith("manifest.json") and not path.startswith(("home/digests", "home/lists"))
    }
