"""A home as small as it can be, and the files it was made from; made once, and copied for each case."""

from __future__ import annotations

import json
import random
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes import write_ring
from typer.testing import CliRunner

from llamarec_cli.cli.app import app

ITEMS, USERS, LENGTH = 20, 14, 8
_PLACE = "world"
CONFIG = """[lrurec]
width = 8
blocks = 1
max_length = 12

[training]
batch_size = 8
epochs = 2
validate_every = 10
"""


@dataclass(frozen=True)
class World:
    """Files of a user, and the home.

    Attributes:
        folder: Holds all of it.
        base: A base model folder; no case changes it.
    """

    folder: Path
    base: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def copied(self, folder: Path | None = None) -> World:
        """Return a world of one's own; by default where this one was made, which notes in its home tell."""
        folder = folder or self.folder.parent / _PLACE
        shutil.copytree(self.folder, folder, symlinks=True)
        return World(folder, self.base)


def log_rows() -> list[list[str]]:
    """Users who walk round a ring of items."""
    generator = random.Random(0)
    rows = []
    for user in range(USERS):
        start = generator.randrange(ITEMS)
        rows += [[f"u{user}", f"i{(start + step) % ITEMS}", str(1000 + step), "4.0"] for step in range(LENGTH)]
    return rows


def catalogue_rows() -> list[list[str]]:
    return [[f"i{item}", f"Film {item:02d}, The ({1950 + item})"] for item in range(ITEMS)]


def separated(rows: list[list[str]], separator: str = ",") -> bytes:
    quoted = (separator.join(f'"{cell}"' if separator in cell else cell for cell in row) for row in rows)
    return ("\n".join(quoted) + "\n").encode()


def write_inputs(folder: Path) -> None:
    log = [["user_id", "item_id", "timestamp", "rating"], *log_rows()]
    (folder / "log.csv").write_bytes(separated(log))
    (folder / "items.csv").write_bytes(separated([["item_id", "title"], *catalogue_rows()]))
    (folder / "hist.json").write_text(json.dumps(["Film 01", {"id": "i4"}, "i7"]))
    (folder / "c.toml").write_text(CONFIG)
    users = [{"user": f"u{user}", "history": [f"i{user}", f"i{user + 1}"]} for user in range(6)]
    (folder / "users.jsonl").write_text("".join(json.dumps(user) + "\n" for user in users))
    quoted = "".join(
        f'{user["user"]},"{json.dumps(user["history"]).replace(chr(34), 2 * chr(34))}"\n' for user in users
    )
    (folder / "users.csv").write_text("user,history\n" + quoted)
    (folder / "mine.txt").write_text("mine")
    write_ring(folder / "raw", items=12, users=10, length=6)


def made_world(folder: Path, base: Path) -> World:
    """Make the world with the program's own commands, and move it aside to be copied."""
    world = World(folder / _PLACE, base)
    world.folder.mkdir(parents=True)
    write_inputs(world.folder)
    prepare = ["--interactions", "log.csv", "--items", "items.csv", "--min-count", "2"]
    _run(world, "prepare", "shop", *prepare)
    _run(world, "train", "retriever", "--dataset", "shop", "--model", "popularity")
    _run(world, "train", "retriever", "--dataset", "shop", "--config", "c.toml")
    ranker = ["--retriever", "shop/lrurec", "--strategy", "signals", "--base", str(base), "--name", "shop/signals"]
    _run(world, "train", "ranker", "--dataset", "shop", *ranker)
    _run(world, "evaluate", "--dataset", "shop", "--ranker", "shop/signals")
    _run(world, "store", "export", "shop/signals", "shop.tar.zst")
    _run(
        world,
        "recommend",
        "--dataset",
        "shop",
        "--ranker",
        "shop/signals",
        "--input",
        "users.jsonl",
        "--output",
        "done.jsonl",
    )
    return World(world.folder.rename(folder / "template"), base)


def _run(world: World, *arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLAMAREC_HOME", str(world.home))
        patch.chdir(world.folder)
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr


@contextmanager
def surroundings(folder: Path) -> Iterator[None]:
    """Nothing is fetched, by pip or otherwise, and benchmarks do not measure how fast the machine multiplies."""
    pip = folder / "pip"
    pip.mkdir(parents=True)
    (pip / "__main__.py").write_text("import sys\nsys.exit('ERROR: there is no network here')\n")

    def unreachable(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("there is no network here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr(socket, "getaddrinfo", unreachable)
        patch.setattr("llamarec_cli.pipeline.bench.machine._SIDE", 8)
        yield
