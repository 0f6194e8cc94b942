"""Faults of model folders: planted code and pickles that leave a trace when they run, and damaged files."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.base_models import load_base_model, load_tokenizer

CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PLANTED_SUFFIXES = (".py", ".bin", ".pt", ".pkl")


class OpenedFiles:
    """Records which planted files below a folder are opened for reading.

    An audit hook cannot be removed, so there is one for the whole run, which `folder` switches on and off.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.paths: list[str] = []
        sys.addaudithook(self._record)

    def _record(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or self.folder is None or not str(arguments[0]).endswith(_PLANTED_SUFFIXES):
            return
        reads = arguments[1] is None or str(arguments[1]).startswith("r")
        if reads and str(arguments[0]).startswith(str(self.folder)):
            self.paths.append(str(arguments[0]))


OPENED = OpenedFiles()


class _Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def plant_code(folder: Path, trace: Path, name: str = "evil.py") -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    classes = "\n".join(f"class {one}:\n    pass" for one in ("Model", "Config", "Tokenizer"))
    (folder / name).write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n{classes}\n")


def plant_pickle(path: Path, trace: Path) -> None:
    path.write_bytes(pickle.dumps(_Touch(trace)))


def change_json(path: Path, **settings: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def change_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def write_index(folder: Path, **weights: str) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weights}))


def truncate(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def assert_refused(folder: Path, sentence: str) -> None:
    """Loading tokenizer and model ends in one sentence and a hint."""
    with pytest.raises(LlamaRecError, match=sentence) as caught:
        load_tokenizer(folder)
        load_base_model(folder, CPU)
    assert caught.value.hint
    assert "\n" not in caught.value.sentence
    assert len(caught.value.sentence) < 500
