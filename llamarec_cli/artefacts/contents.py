"""Contents of each kind of artefact: its files, and the names, dtypes and shapes of their tensors.

A matching digest proves that a file is the one in the manifest; these checks prove that the program can read it. The
expected layout is a function of the manifest and is checked against the file headers whenever an artefact is opened.
Weights are checked against their module when they are loaded, and values (offsets, item ids, ranks) when they are read.
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
from llamarec_cli.numbers import counted
from llamarec_cli.retrieval.candidates import DEFAULT_K
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact
from llamarec_cli.strategies.registry import NO_MODEL, STRATEGIES

WEIGHTS_FILE, CANDIDATES_FILE = "model.safetensors", "candidates.safetensors"
COUNTS_FILE, PRIORS_FILE = "counts.safetensors", "priors.safetensors"
RANKS_FILE, VECTORS_FILE = "ranks.safetensors", "vectors.safetensors"
# Tolerance between a mean and the same mean read from a manifest.
_ROUNDING = 1e-9

# Dtype and shape. A size given as text is a variable: any number, but the same one throughout the artefact.
TensorLayout = tuple[str, tuple[int | str, ...]]
# Exceptions that readers raise for malformed content.
UNREADABLE = (SafetensorError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, StopIteration)


def wrong_contents(artefact: Artefact) -> str | None:
    """Return what is wrong with an artefact whose digests match, or None; fast, since it reads headers only."""
    try:
        return _first_fault(artefact.path, artefact.manifest)
    except UNREADABLE as error:
        return f"its manifest is not that of a {artefact.manifest.kind} ({type(error).__name__}: {error})"


@contextmanager
def reading(artefact: Artefact, what: str) -> Iterator[None]:
    """Translate errors raised in the block by malformed content.

    Args:
        artefact: The artefact read.
        what: The file, or the part of the manifest, for the message.

    Raises:
        LlamaRecError: The content is malformed.
    """
    try:
        yield
    except UNREADABLE as error:
        raise damaged(artefact, f"{what} cannot be read ({type(error).__name__}: {str(error)[:200]})") from error


def damaged(artefact: Artefact, wrong: str) -> LlamaRecError:
    """Return the error for an artefact with malformed content."""
    name = artefact.manifest.name
    return LlamaRecError(f"{name} is damaged: {wrong}.", f"llamarec store remove {name}, then create it again.")


def fill(module: nn.Module, artefact: Artefact, file: str) -> None:
    """Load the tensors of a module, after checking their names, dtypes and shapes.

    Args:
        module: The module; filled in place.
        artefact: The artefact that holds the file.
        file: Name of the file.

    Raises:
        LlamaRecError: A tensor is missing, unexpected, or has the wrong dtype or shape.
    """
    with reading(artefact, file):
        tensors = load_file(artefact.path / file)
    own = module.state_dict()
    for name in sorted(own.keys() ^ tensors.keys()):
        raise damaged(
            artefact, f"{file} has no tensor {name}" if name in own else f"{file} has an unexpected tensor {name}"
        )
    for name, tensor in own.items():
        found = tensors[name]
        if (found.dtype, found.shape) != (tensor.dtype, tensor.shape):
            raise damaged(
                artefact,
                f"{name} in {file} is {_describe(found.dtype, found.shape)}, "
                f"not {_describe(tensor.dtype, tensor.shape)}",
            )
    module.load_state_dict(tensors)


def check_prepared(artefact: Artefact, data: PreparedData) -> None:
    """Raise unless a data set's offsets, item ids, titles and manifest are consistent.

    Raises:
        LlamaRecError: They are not.
    """
    lengths = np.diff(data.offsets_U)
    metrics = artefact.manifest.metrics
    counts = (data.user_count, data.item_count)
    wrong = None
    if data.offsets_U[0] != 0 or data.offsets_U[-1] != data.interaction_count or lengths.min(initial=1) < 1:
        wrong = "its offsets do not increase from 0 to the number of interactions"
    elif data.interaction_count and not 1 <= data.items_N.min() <= data.items_N.max() <= data.item_count:
        wrong = "it holds item ids without a title"
    elif (metrics.get("users", data.user_count), metrics.get("items", data.item_count)) != counts:
        wrong = f"it has {counted(data.user_count, 'user')} and {counted(data.item_count, 'item')}, unlike its manifest"
    elif not all(isinstance(text, str) for text in (*data.user_ids, *data.item_ids, *data.titles)):
        wrong = "an id or a title is not text"
    if wrong:
        raise damaged(artefact, wrong)


def check_ranks(artefact: Artefact, ranks: Mapping[Split, npt.NDArray[np.int32]]) -> None:
    """Raise unless a retriever's ranks give the recall in its manifest.

    Raises:
        LlamaRecError: They do not, or are not ranks.
    """
    with reading(artefact, "recall@20 in its manifest"):
        for split, ranks_S in ranks.items():
            recall = float(artefact.manifest.metrics["recall@20"][split])
            if ranks_S.min(initial=1) < 1 or abs(float(np.mean(ranks_S <= DEFAULT_K)) - recall) > _ROUNDING:
                raise damaged(artefact, f"its {split} ranks do not give the recall in its manifest")


def check_candidates(
    artefact: Artefact, cases: HeldOut, ranks_S: npt.NDArray[np.int32], items_SK: npt.NDArray[np.int32], items: int
) -> None:
    """Raise unless a retriever's candidates are item ids and consistent with its ranks.

    Args:
        artefact: The retriever.
        cases: The users of one split, S.
        ranks_S: Rank of each user's true item, which is among the K candidates where it is at most K.
        items_SK: Candidates of each user.
        items: Number of items, without the padding.

    Raises:
        LlamaRecError: They are not.
    """
    if len(cases) != len(ranks_S):
        raise damaged(artefact, f"it has results for {len(ranks_S):,} users, but its data set has {len(cases):,}")
    retrieved = ranks_S <= items_SK.shape[1]
    found = (items_SK[retrieved] == cases.targets_S[retrieved, None]).any(axis=1)
    if items_SK.min(initial=0) < 0 or items_SK.max(initial=0) > items or not found.all():
        raise damaged(artefact, "its candidates do not match its ranks")


def _first_fault(folder: Path, manifest: Manifest) -> str | None:
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
            return f"{file} cannot be read ({error})"
        if wrong := _tensor_fault(layout, _tensors(manifest, file, layout), sizes):
            return f"{file} {wrong}"
    return None


def _files(manifest: Manifest) -> list[str]:
    """Return the required files of an artefact."""
    match manifest.kind:
        case Kind.DATASET:
            return [INTERACTIONS_FILE, ITEMS_FILE, USERS_FILE]
        case Kind.RETRIEVER:
            return [WEIGHTS_FILE, CANDIDATES_FILE]
        case Kind.RANKER:
            # Rankers of older versions have no strategy; loading one raises an error that says to train it again.
            strategy = manifest.config.get("strategy")
            trained = () if strategy in (None, NO_MODEL) else STRATEGIES[strategy].files
            return [COUNTS_FILE, *trained] if strategy else []
        case Kind.EVALUATION:
            return [RANKS_FILE]
        case Kind.TITLE_VECTORS:
            return [VECTORS_FILE]
        case Kind.BASE_MODEL:
            return []


def _tensors(manifest: Manifest, file: str, layout: Mapping[str, TensorLayout]) -> dict[str, TensorLayout] | None:
    """Return the expected tensors of a file (optional ones end in `?`), or None if a module or library defines them."""
    place = (manifest.kind, file)
    if place == (Kind.DATASET, INTERACTIONS_FILE):
        users, interactions = manifest.metrics["users"], manifest.metrics["interactions"]
        return {
            "items": ("I32", (interactions,)),
            "offsets": ("I64", (users + 1,)),
            "timestamps?": ("I64", (interactions,)),
        }
    if place == (Kind.RETRIEVER, CANDIDATES_FILE):
        return {f"{split}.{name}": layout_of for split in Split for name, layout_of in _results(split).items()}
    if place == (Kind.TITLE_VECTORS, VECTORS_FILE):
        return {"vectors": ("F32", ("items", "width"))}
    if place == (Kind.RANKER, PRIORS_FILE):
        return {"priors": ("F64", ("items",))}
    if place == (Kind.RANKER, ADAPTER_FILE):
        return _adapter(layout, manifest.config["ranker"]["lora_rank"])
    if place == (Kind.EVALUATION, RANKS_FILE):
        return dict.fromkeys(manifest.metrics, ("I32", ("users",)))
    return None


def _results(split: Split) -> dict[str, TensorLayout]:
    """Return the expected tensors of a retriever's results on one split."""
    users = f"users of {split}"
    return {"ranks": ("I32", (users,)), "items": ("I32", (users, "K")), "scores": ("F32", (users, "K"))}


def _adapter(layout: Mapping[str, TensorLayout], rank: int) -> dict[str, TensorLayout]:
    """Return the expected tensors of an adapter: LoRA factors A and B of each adapted layer, which share the rank."""
    expected: dict[str, TensorLayout] = {}
    for name in layout:
        for own, other in (("lora_A", "lora_B"), ("lora_B", "lora_A")):
            if own in name:
                expected |= {one: _factor(one, layout, rank) for one in (name, name.replace(own, other))}
    return expected


def _factor(name: str, layout: Mapping[str, TensorLayout], rank: int) -> TensorLayout:
    kind, _ = layout.get(name, ("F32", ()))
    return kind, (rank, f"input size of {name}") if "lora_A" in name else (f"output size of {name}", rank)


def _layout(path: Path) -> dict[str, TensorLayout]:
    """Return the dtype and shape of each tensor in a safetensors file, from its header."""
    with safe_open(path, framework="numpy") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        return {name: (one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}


def _tensor_fault(
    layout: Mapping[str, TensorLayout], expected: Mapping[str, TensorLayout] | None, sizes: dict[str, int]
) -> str | None:
    """Return the first difference between the tensors found and expected; `sizes` are the variables bound so far."""
    if expected is None:
        return None
    for name, (kind, shape) in expected.items():
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
            expected_shape = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in shape)
            return f"has {place} as {_describe(found_kind, found_shape)}, not {_describe(kind, expected_shape)}"
    return None


def _describe(kind: Any, shape: Any) -> str:
    return f"{str(kind).removeprefix('torch.')} of {' x '.join(map(str, shape)) or 'no size'}"
