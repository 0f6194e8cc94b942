"""Homes, archives and model folders that mean harm: nothing of them runs, and what is the user's stays.

Each case is made of a seed and its number. `LLAMAREC_HOSTILE` sets how many there are and `LLAMAREC_SEED` the seed; one
is repeated by `pytest 'tests/generated/test_hostile.py::test_case[NUMBER]'`.
"""

from __future__ import annotations

import builtins
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from generated import planted
from generated.checking import Case, checked, snapshot
from generated.hostile_archives import archive
from generated.hostile_homes import home
from generated.hostile_models import model_folder
from generated.world import World, made_world, surroundings

HOSTILE = int(os.environ.get("LLAMAREC_HOSTILE", "24"))
SEED = int(os.environ.get("LLAMAREC_SEED", "1"))
_MAKERS: tuple[Callable[[Random, World, Path], list[Case]], ...] = (model_folder, model_folder, archive, home)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Iterator[World]:
    with surroundings(tmp_path_factory.mktemp("surroundings")):
        yield made_world(tmp_path_factory.mktemp("hostile"), tiny_base_folder)


@pytest.mark.parametrize("number", range(HOSTILE))
def test_case(number: int, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(f"{SEED}/{number}")
    asked: list[str] = []
    monkeypatch.setattr(builtins, "input", lambda question="": asked.append(question) or "y")
    outside = world.folder.parent / str(number)
    own = world.copied(outside / "a" / "b" / "world")
    trace = outside / "trace"
    wrong = []
    try:
        for case in _MAKERS[number % len(_MAKERS)](random, own, trace):
            found = checked(case, own, planted.watching(own / "evil"))
            found += [f"opened: {path}" for path in planted.opened()]
            wrong += [f"({case.told}): {case.line()}: {one}" for one in found]
        wrong += [f"asked: {question}" for question in asked]
        wrong += [
            f"outside: {path}"
            for path in snapshot(outside)
            if not path.startswith("a/b/world") and path not in ("a", "a/b")
        ]
    finally:
        shutil.rmtree(outside)
    if wrong:
        pytest.fail(f"case {number} of seed {SEED}\n  " + "\n  ".join(wrong), pytrace=False)
