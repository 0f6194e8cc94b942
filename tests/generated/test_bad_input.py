"""Whatever a command is given, it ends soon, with a sentence and a proper exit code, and harms nothing.

Each case is made of a seed and its number. `LLAMAREC_CASES` sets how many there are and `LLAMAREC_SEED` the seed; one
is repeated by `pytest 'tests/generated/test_bad_input.py::test_case[NUMBER]'`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from generated.checking import Case, checked
from generated.configurations import configuration
from generated.histories import file_of_users, one_history
from generated.homes import damaged_archive, damaged_home
from generated.options import wrong_option
from generated.tables import known_set, table
from generated.world import World, made_world, surroundings

CASES = int(os.environ.get("LLAMAREC_CASES", "300"))
SEED = int(os.environ.get("LLAMAREC_SEED", "1"))

_MAKERS: dict[Callable[[Random, World], Case], int] = {
    table: 20,
    known_set: 5,
    one_history: 18,
    file_of_users: 15,
    wrong_option: 18,
    configuration: 4,
    damaged_home: 22,
    damaged_archive: 6,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Iterator[World]:
    with surroundings(tmp_path_factory.mktemp("surroundings")):
        yield made_world(tmp_path_factory.mktemp("world"), tiny_base_folder)


@pytest.mark.parametrize("number", range(CASES))
def test_case(number: int, world: World) -> None:
    random = Random(f"{SEED}/{number}")
    maker = random.choices(list(_MAKERS), list(_MAKERS.values()))[0]
    own = world.copied()
    try:
        case = maker(random, own)
        wrong = checked(case, own)
    finally:
        shutil.rmtree(own.folder)
    if wrong:
        pytest.fail(
            f"case {number} of seed {SEED} ({case.told}): {case.line()}\n  " + "\n  ".join(wrong), pytrace=False
        )
