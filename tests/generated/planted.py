"""Files that leave a trace when they are run or unpickled, and are noticed when they are opened."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import torch
from generated import mutations

_CODE = (
    "evil.py", "modeling_evil.py", "configuration_evil.py", "setup.py", "__init__.py", "conftest.py",
    "sitecustomize.py", "torch.py", "json.py", "numpy.py", "custom_generate/generate.py", "a/b/evil.py", "evil.pyc",
    "evil.so", "evil.PY", "\x1b[2Jevil.py", "evil .py", "model.safetensors.py",
)  # fmt: skip
_PICKLES = (
    "pytorch_model.bin", "model.bin", "adapter_model.bin", "training_args.bin", "optimizer.pt", "weights.pth",
    "model.ckpt", "x.pkl", "x.pickle", "scaler.joblib", "x.npy", "flax_model.msgpack", "tokenizer.model",
    "\x1b[2Jx.bin", "model.BIN", "pytorch_model-00001-of-00001.bin", "consolidated.00.pth", "rng_state.pth",
)  # fmt: skip
_WATCHED = (".py", ".pyc", ".so", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".msgpack")
_watching: list[str] = []
_opened: list[str] = []


def _watch(event: str, given: tuple[Any, ...]) -> None:
    if not _watching or event != "open" or not isinstance(given[0], str | bytes):
        return
    path = os.fsdecode(given[0])
    reads = isinstance(given[2], int) and not given[2] & (os.O_WRONLY | os.O_RDWR)
    if reads and path.lower().endswith(_WATCHED) and path.startswith(_watching[0]):
        _opened.append(path)


sys.addaudithook(_watch)


@contextmanager
def watching(folder: Path) -> Iterator[None]:
    """Note, while the block runs, which planted files of a folder are opened for reading."""
    _opened.clear()
    _watching[:] = [str(folder)]
    try:
        yield
    finally:
        _watching.clear()


def opened() -> list[str]:
    """Return those that were opened while the last folder was watched."""
    return sorted(set(_opened))


class LeavesATrace:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def code(folder: Path, random: Random, trace: Path) -> str:
    """Plant a module, and return its name."""
    name = random.choice(_CODE)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    classes = "\n".join(f"class {one}:\n    pass" for one in ("Model", "Config", "Tokenizer"))
    path.write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n{classes}\n")
    return name


def a_pickle(folder: Path, random: Random, trace: Path, name: str | None = None) -> str:
    """Plant a pickle, plain or as torch writes it, and return its name."""
    name = name or random.choice(_PICKLES)
    if random.random() < 0.5:
        (folder / name).write_bytes(pickle.dumps(LeavesATrace(trace)))
    else:
        torch.save({"model.norm.weight": LeavesATrace(trace)}, folder / name)
    return name


def changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file; one that is not there, or holds no object any more, begins empty."""
    try:
        value = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:
        value = {}
    value = value if isinstance(value, dict) else {}
    found = change(value)
    path.write_bytes(mutations.json_text(value if found is None else found))
