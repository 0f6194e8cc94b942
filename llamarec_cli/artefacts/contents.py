"""What each kind of artefact holds: its files, and their tensors by name, type and shape.

A digest that fits proves that a file is the one its manifest speaks of; this proves that it is one the program reads.
Everything is stated here once, as a function of the manifest, and checked whenever an artefact is opened, by headers
alone. What a module is made of it states itself, so weights are checked against the module when they are loaded; and
what numbers mean (places, item ids, ranks) when they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from llamarec_cli.data.dataset import INTERACTIONS_FILE, ITEMS_FILE, USERS_FILE, PreparedData
from llamarec_cli.data.splits import HeldOut, Split
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.model_folders import ADAPTER_FILE
from llamarec_cli.retrieval.candidates import DEFAULT_K
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.registry import NO_MODEL, STRATEGIES

WEIGHTS_FILE, CANDIDATES_FILE = "model.safetensors", "candidates.safetensors"
COUNTS_FILE, PRIORS_FILE = "counts.safetensors", "priors.safetensors"
RANKS_FILE, VECTORS_FILE = "ranks.safetensors", "vectors.safetensors"
# Between a mean and the same mean from a manifest.
_ROUNDING = 1e-9

# Type and shape; a size that is a letter may be any, but the same throughout the artefact.
Stated = tuple[str, tuple[int | str, ...]]
# What content that is not as it must be raises, whoever reads it.
UNREADABLE = (SafetensorError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, StopIteration)


def wrong_contents(artefact: Artefact) -> str | None:
    """Return what is wrong with an artefact whose digests fit, or None: by headers, so it is quick."""
    try:
        return _first_wrong(artefact.path, artefact.manifest)
    except UNREADABLE as error:
        return f"its manifest lacks what a {artefact.manifest.kind} has ({type(error).__name__}: {error})"


@contextmanager
def reading(artefact: Artefact, what: str) -> Iterator[None]:
    """Turn what unreadable content raises into a sentence.

    Args:
        artefact: What is read.
        what: The file, or the part of the manifest.

    Raises:
        LlamaRecError: It does not read.
    """
    try:
        yield
    except UNREADABLE as error:
        raise damaged(artefact, f"{what} does not read ({type(error).__name__}: {str(error)[:200]})") from error


def damaged(artefact: Artefact, wrong: str) -> LlamaRecError:
    """Return the error for an artefact whose content is not what it must be."""
    name = artefact.manifest.name
    return LlamaRecError(f"{name} is damaged: {wrong}.", f"llamarec store remove {name}, then make it anew.")


def fill(module: nn.Module, artefact: Artefact, file: str) -> None:
    """Load the tensors of a module, after checking them against those that it has.

    Args:
        module: The module; filled in place.
        artefact: Whose file it is.
        file: Name of the file.

    Raises:
        LlamaRecError: A tensor is missing, too much, or of another type or shape.
    """
    with reading(artefact, file):
        tensors = load_file(artefact.path / file)
    own = module.state_dict()
    for name in sorted(own.keys() ^ tensors.keys()):
        raise damaged(
            artefact, f"{file} has no tensor {name}" if name in own else f"{file} has a tensor {name} too much"
        )
    for name, tensor in own.items():
        found = tensors[name]
        if (found.dtype, found.shape) != (tensor.dtype, tensor.shape):
            raise damaged(
                artefact,
                f"{name} in {file} is {_told(found.dtype, found.shape)}, not {_told(tensor.dtype, tensor.shape)}",
            )
    module.load_state_dict(tensors)


def check_prepared(artefact: Artefact, data: PreparedData) -> None:
    """Raise unless a data set's places, item ids and names fit one another and its manifest.

    Raises:
        LlamaRecError: They do not.
    """
    lengths = np.diff(data.offsets_U)
    told = artefact.manifest.metrics
    wrong = None
    if data.offsets_U[0] != 0 or data.offsets_U[-1] != data.interaction_count or lengths.min(initial=1) < 1:
        wrong = "its users' places do not follow one another"
    elif data.interaction_count and not 1 <= data.items_N.min() <= data.items_N.max() <= data.item_count:
        wrong = "it holds item ids that it has no title for"
    elif (told.get("users", data.user_count), told.get("items", data.item_count)) != (data.user_count, data.item_count):
        wrong = f"it has {data.user_count:,} users and {data.item_count:,} items, not as many as its manifest says"
    elif not all(isinstance(text, str) for text in (*data.user_ids, *data.item_ids, *data.titles)):
        wrong = "an id or a title is no text"
    if wrong:
        raise damaged(artefact, wrong)


def check_ranks(artefact: Artefact, ranks: Mapping[Split, npt.NDArray[np.int32]]) -> None:
    """Raise unless a retriever's ranks are those that its manifest tells the recall of.

    Raises:
        LlamaRecError: They are not, or are no ranks.
    """
    with reading(artefact, "recall@20 in its manifest"):
        for split, ranks_S in ranks.items():
            recall = float(artefact.manifest.metrics["recall@20"][split])
            if ranks_S.min(initial=1) < 1 or abs(float(np.mean(ranks_S <= DEFAULT_K)) - recall) > _ROUNDING:
                raise damaged(artefact, f"the ranks of {split} are not those that its recall was measured on")


def check_candidates(
    artefact: Artefact, cases: HeldOut, ranks_S: npt.NDArray[np.int32], items_SK: npt.NDArray[np.int32], items: int
) -> None:
    """Raise unless a retriever's candidates are items, and hold those that its ranks say were retrieved.

    Args:
        artefact: The retriever.
        cases: The users of one split, S.
        ranks_S: Rank of each user's true item.
        items_SK: Each user's candidates.
        items: Number of items, without the padding.

    Raises:
        LlamaRecError: They do not.
    """
    if len(cases) != len(ranks_S):
        raise damaged(artefact, f"it has results of {len(ranks_S):,} users, and its data {len(cases):,}")
    retrieved = ranks_S <= items_SK.shape[1]
    found = (items_SK[retrieved] == cases.targets_S[retrieved, None]).any(axis=1)
    if items_SK.min(initial=0) < 0 or items_SK.max(initial=0) > items or not found.all():
        raise damaged(artefact, "its candidates are not those that its ranks were measured on")


def _first_wrong(folder: Path, manifest: Manifest) -> str | None:
    sizes: dict[str, int] = {}
    for file in _files(manifest):
        if file not in manifest.files:
            return f"it holds no {file}"
    for file in manifest.files:
        if not file.endswith(".safetensors"):
            continue
        try:
            layout = _layout(folder / file)
        except SafetensorError as error:
            return f"{file} does not read ({error})"
        if wrong := _wrong_tensors(layout, _tensors(manifest, file, layout), sizes):
            return f"{file} {wrong}"
    return None


def _files(manifest: Manifest) -> list[str]:
    """Return the files that an artefact must have."""
    match manifest.kind:
        case Kind.DATASET:
            return [INTERACTIONS_FILE, ITEMS_FILE, USERS_FILE]
        case Kind.RETRIEVER:
            return [WEIGHTS_FILE, CANDIDATES_FILE]
        case Kind.RANKER:
            # Those of older versions have no strategy, and are told to be made anew when they are used.
            strategy = manifest.config.get("strategy")
            trained = () if strategy in (None, NO_MODEL) else STRATEGIES[strategy].files
            return [COUNTS_FILE, *trained] if strategy else []
        case Kind.EVALUATION:
            return [RANKS_FILE]
        case Kind.TITLE_VECTORS:
            return [VECTORS_FILE]
        case Kind.BASE_MODEL:
            return []


def _tensors(manifest: Manifest, file: str, layout: Mapping[str, Stated]) -> dict[str, Stated] | None:
    """State the tensors of a file: one with `?` may be missing; None where a module states them, or a library."""
    place = (manifest.kind, file)
    if place == (Kind.DATASET, INTERACTIONS_FILE):
        users, interactions = manifest.metrics["users"], manifest.metrics["interactions"]
        return {
            "items": ("I32", (interactions,)),
            "offsets": ("I64", (users + 1,)),
            "timestamps?": ("I64", (interactions,)),
        }
    if place == (Kind.RETRIEVER, CANDIDATES_FILE):
        return {f"{split}.{name}": stated for split in Split for name, stated in _results(split).items()}
    if place == (Kind.TITLE_VECTORS, VECTORS_FILE):
        return {"vectors": ("F32", ("items", "width"))}
    if place == (Kind.RANKER, PRIORS_FILE):
        return {"priors": ("F64", ("items",))}
    if place == (Kind.RANKER, ADAPTER_FILE):
        return _adapter(layout, manifest.config["ranker"]["lora_rank"])
    if place == (Kind.EVALUATION, RANKS_FILE):
        return dict.fromkeys(manifest.metrics, ("I32", ("users",)))
    return None


def _results(split: Split) -> dict[str, Stated]:
    users = f"users of {split}"
    return {"ranks": ("I32", (users,)), "items": ("I32", (users, "K")), "scores": ("F32", (users, "K"))}


def _adapter(layout: Mapping[str, Stated], rank: int) -> dict[str, Stated]:
    """State an adapter's tensors: for each map that is adapted two, which meet in the rank."""
    stated: dict[str, Stated] = {}
    for name in layout:
        for own, other in (("lora_A", "lora_B"), ("lora_B", "lora_A")):
            if own in name:
                stated |= {one: _half(one, layout, rank) for one in (name, name.replace(own, other))}
    return stated


def _half(name: str, layout: Mapping[str, Stated], rank: int) -> Stated:
    kind, _ = layout.get(name, ("F32", ()))
    return kind, (rank, f"into {name}") if "lora_A" in name else (f"out of {name}", rank)


def _layout(path: Path) -> dict[str, Stated]:
    with safe_open(path, framework="numpy") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        return {name: (one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}


def _wrong_tensors(
    layout: Mapping[str, Stated], stated: Mapping[str, Stated] | None, sizes: dict[str, int]
) -> str | None:
    if stated is None:
        return None
    for name, (kind, shape) in stated.items():
        place = name.removesuffix("?")
        if place not in layout:
            if name == place:
                return f"has no tensor {name}"
            continue
        found_kind, found_shape = layout[place]
        fits = len(shape) == len(found_shape) and all(
            (sizes.setdefault(size, int(found)) if isinstance(size, str) else size) == found
            for size, found in zip(shape, found_shape, strict=True)
        )
        if found_kind != kind or not fits:
            expected = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in shape)
            return f"has {place} as {_told(found_kind, found_shape)}, not {_told(kind, expected)}"
    return None


def _told(kind: Any, shape: Any) -> str:
    return f"{str(kind).removeprefix('torch.')} of {' x '.join(map(str, shape)) or 'no size'}"
