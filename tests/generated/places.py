"""What may stand where a file or a folder is expected, or be given as its name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

# Names that are given as they are; none of them can be made or written.
NAMES = (
    "", ".", "..", "/", "~nosuchuser/x", "nowhere/x", "/dev/full", "/dev/full/x", "/dev/null", "/dev/zero",
    "/dev/urandom", "/proc/self/mem", "/proc/nothing", "x" * 300, "a/" * 3000, "un\udce9ncodable", "a\0b", "é" * 200,
    "\x1b[2J", "-x", "*", "[x]", "x\ny", "{}", "%s",
)  # fmt: skip


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace(path: Path, random: Random) -> str:
    """Put something else in the place of a file or folder, and return what it is."""
    kind = random.choice(["folder", "pipe", "device", "dangling", "loop", "file", "nothing", "endless", "full"])
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "folder":
            (path / "inside").mkdir(parents=True)
            (path / "inside" / "mine.txt").write_text("mine")
        case "pipe":
            os.mkfifo(path)
        case "device" | "endless" | "full":
            path.symlink_to({"device": "/dev/null", "endless": "/dev/zero", "full": "/dev/full"}[kind])
        case "dangling":
            path.symlink_to(path.parent / "nowhere" / "at-all")
        case "loop":
            path.symlink_to(path)
        case "file":
            path.write_text("mine")
    return kind


def another_name(path: Path, random: Random) -> str:
    """Return a name to give in the place of a path, and often put something odd there."""
    if random.random() < 0.5:
        replace(path, random)
        return str(path)
    name = random.choice(NAMES)
    return name if random.random() < 0.5 else str(path.parent / name.lstrip("/")) if "\0" not in name else name
