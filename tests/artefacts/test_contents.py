"""Artefacts with matching checksums and wrong contents are reported when opened, loaded or verified."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import byte_tokenizer, tiny_llama, write_ring
from safetensors.numpy import load_file, save_file

from llamarec_cli.artefacts.contents import wrong_contents
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import load_ranker
from llamarec_cli.artefacts.retrievers import load_retriever
from llamarec_cli.artefacts.verify import verify
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.pipeline.prepare import need_dataset, prepare_dataset
from llamarec_cli.pipeline.train.ranker import train as train_ranker
from llamarec_cli.pipeline.train.ranker_plan import RankerRequest
from llamarec_cli.pipeline.train.retriever import train as train_retriever
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.store.manifest import MANIFEST_FILE, Kind, Manifest, read_manifest, write_manifest
from llamarec_cli.store.registry import Store

DATA, RETRIEVER, RANKER = "ml-100k", "ml-100k/lrurec", "ml-100k/tiny"
TENSORS = {
    DATA: "interactions.safetensors",
    RETRIEVER: "candidates.safetensors",
    RANKER: "priors.safetensors",
}
SMALL: dict[str, Any] = {"lrurec": {"width": 8, "blocks": 1}, "training": {"epochs": 1, "validate_every": 20}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a data set, a retriever and a ranker."""
    folder = tmp_path_factory.mktemp("made")
    tiny_llama().save_pretrained(folder / "tiny")
    byte_tokenizer().save_pretrained(folder / "tiny")
    context = Context(Store(folder / "home", wrong_contents), "test")
    prepare_dataset(context, DATA, write_ring(folder / "raw"))
    train_retriever(context, RetrieverRequest(DATA, overrides=SMALL))
    base = str(folder / "tiny")
    train_ranker(
        context, RankerRequest(DATA, base, strategy="likelihood", name=RANKER, signals=[], retriever=RETRIEVER)
    )
    return folder / "home"


@pytest.fixture
def context(made: Path, tmp_path: Path) -> Context:
    """Surroundings with a copy of that home, in which anything may be damaged."""
    shutil.copytree(made, tmp_path / "home")
    return Context(Store(tmp_path / "home", wrong_contents), "test")


def refit(folder: Path, **fields: Any) -> None:
    """Make a manifest fit whatever the folder holds now."""
    manifest = replace(read_manifest(folder), **fields)
    (folder / MANIFEST_FILE).unlink()
    write_manifest(folder, manifest)


def load(context: Context, name: str) -> Any:
    data, _ = need_dataset(context, DATA)
    if name == RETRIEVER:
        return load_retriever(context, RETRIEVER, data)
    return load_ranker(context, RANKER, data) if name == RANKER else data


def told(context: Context, name: str) -> None:
    """Check that it is told, by whoever uses it and by whoever asks, and that nothing else is."""
    with pytest.raises(LlamaRecError, match=f"{name} is damaged: ") as raised:
        load(context, name)
    assert raised.value.hint == f"llamarec store remove {name}, then create it again."
    assert len(verify(context.store, name)) == 1


def test_undamaged_artefacts_pass(context: Context) -> None:
    for name in (DATA, RETRIEVER, RANKER):
        assert verify(context.store, name) == []
        load(context, name)


Change = Callable[[dict[str, Any]], Any]
CHANGES: dict[str, tuple[str, Change]] = {
    "renamed": (DATA, lambda t: t.update(item=t.pop("items"))),
    "gone": (DATA, lambda t: t.pop("offsets")),
    "swapped": (DATA, lambda t: t.update(items=t["offsets"], offsets=t["items"])),
    "cut": (DATA, lambda t: t.update(items=t["items"][:-1])),
    "another type": (DATA, lambda t: t.update(items=t["items"].astype(np.int64))),
    "timestamps cut": (DATA, lambda t: t.update(timestamps=t["timestamps"][:-1])),
    "places that begin late": (DATA, lambda t: t.update(offsets=np.maximum(t["offsets"], 1))),
    "places that end early": (DATA, lambda t: t.update(offsets=np.minimum(t["offsets"], 700))),
    "places that go back": (DATA, lambda t: t.update(offsets=np.concatenate([[0], t["offsets"][1:][::-1]]))),
    "ids beyond the titles": (DATA, lambda t: t.update(items=t["items"] + 1)),
    "ids of the padding": (DATA, lambda t: t.update(items=t["items"] - 1)),
    "ranks renamed": (RETRIEVER, lambda t: t.update({"test.rank": t.pop("test.ranks")})),
    "ranks of the other split": (
        RETRIEVER,
        lambda t: t.update({"test.ranks": t["validation.ranks"], "validation.ranks": t["test.ranks"]}),
    ),
    "ranks that are none": (RETRIEVER, lambda t: t.update({"test.ranks": t["test.ranks"] - 1})),
    "ranks of fewer users": (RETRIEVER, lambda t: t.update({"test.ranks": t["test.ranks"][1:]})),
    "results of fewer users": (
        RETRIEVER,
        lambda t: t.update({name: np.concatenate([one[1:], one[1:2]])[:-1] for name, one in t.items()}),
    ),
    "candidates of other users": (RETRIEVER, lambda t: t.update({"test.items": t["test.items"][::-1].copy()})),
    "candidates beyond the items": (RETRIEVER, lambda t: t["test.items"].__setitem__((0, -1), 41)),
    "fewer scores": (RETRIEVER, lambda t: t.update({"test.scores": t["test.scores"][:, 1:].copy()})),
    "scores of another type": (RETRIEVER, lambda t: t.update({"test.scores": t["test.scores"].astype(np.float64)})),
    "priors renamed": (RANKER, lambda t: t.update(prior=t.pop("priors"))),
    "priors of another type": (RANKER, lambda t: t.update(priors=t["priors"].astype(np.float32))),
    "priors of another shape": (RANKER, lambda t: t.update(priors=t["priors"][:, None])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_unexpected_tensors(context: Context, change: str) -> None:
    name, damage = CHANGES[change]
    path = context.store.path_of(name) / TENSORS[name]
    tensors = load_file(path)
    damage(tensors)
    save_file({key: np.ascontiguousarray(one) for key, one in tensors.items()}, path)
    refit(path.parent)
    told(context, name)


@pytest.mark.parametrize("name", [RETRIEVER, RANKER])
@pytest.mark.parametrize("change", ["renamed", "gone", "more", "cut", "another type"])
def test_unexpected_weights_of_a_module(context: Context, name: str, change: str) -> None:
    path = context.store.path_of(name) / ("model.safetensors" if name == RETRIEVER else "counts.safetensors")
    tensors = load_file(path)
    first = sorted(tensors)[0]
    match change:
        case "renamed":
            tensors["other"] = tensors.pop(first)
        case "gone":
            del tensors[first]
        case "more":
            tensors["other"] = tensors[first]
        case "cut":
            tensors[first] = tensors[first][:-1]
        case "another type":
            tensors[first] = tensors[first].astype(np.float16)
    save_file({key: np.ascontiguousarray(one) for key, one in tensors.items()}, path)
    refit(path.parent)
    told(context, name)


@pytest.mark.parametrize("name", [DATA, RETRIEVER, RANKER])
@pytest.mark.parametrize("content", [b"", b"no tensors", b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 64], ids=repr)
def test_files_without_tensors(context: Context, name: str, content: bytes) -> None:
    path = context.store.path_of(name) / TENSORS[name]
    path.write_bytes(content)
    refit(path.parent)
    told(context, name)


@pytest.mark.parametrize("name", [DATA, RETRIEVER, RANKER])
def test_a_header_with_wrong_offsets(context: Context, name: str) -> None:
    path = context.store.path_of(name) / TENSORS[name]
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for one in header.values():
        one["data_offsets"] = [begin + 8 for begin in one["data_offsets"]]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    refit(path.parent)
    told(context, name)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("items.jsonl", lambda lines: lines[:-1]),
        ("items.jsonl", lambda lines: [*lines[:-1], "{"]),
        ("items.jsonl", lambda lines: [*lines[:-1], "[]"]),
        ("items.jsonl", lambda lines: [*lines[:-1], '{"id": "41"}']),
        ("items.jsonl", lambda lines: [*lines[:-1], '{"id": 41, "title": ["x"]}']),
        ("users.jsonl", lambda lines: lines[:-1]),
        ("users.jsonl", lambda lines: [*lines, "7"]),
    ],
)
def test_inconsistent_vocabularies(context: Context, file: str, change: Callable[[list[str]], list[str]]) -> None:
    path = context.store.path_of(DATA) / file
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    refit(path.parent)
    told(context, DATA)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (DATA, {"metrics": {}}),
        (DATA, {"metrics": {"users": "60", "items": 40, "interactions": 720}}),
        (DATA, {"metrics": {"users": 60, "items": 39, "interactions": 720}}),
        (RETRIEVER, {"metrics": {}}),
        (RANKER, {"metrics": {}}),
        (RANKER, {"metrics": {"fusion": {"groups": {"all": {}}, "chosen": "all", "users": 3}}}),
    ],
)
def test_inconsistent_manifests(context: Context, name: str, fields: dict[str, Any]) -> None:
    refit(context.store.path_of(name), **fields)
    told(context, name)


@pytest.mark.parametrize(
    ("name", "file"), [(DATA, "users.jsonl"), (RETRIEVER, "model.safetensors"), (RANKER, "priors.safetensors")]
)
def test_a_missing_required_file(context: Context, name: str, file: str) -> None:
    (context.store.path_of(name) / file).unlink()
    refit(context.store.path_of(name))
    told(context, name)


def staged(store: Store, kind: Kind, file: str, tensors: dict[str, Any], **fields: Any) -> list[str]:
    manifest = Manifest("x", kind, **({"config": {}, "parents": {}, "metrics": {}, "command": "test"} | fields))
    with store.stage(manifest, replace="x" in store) as folder:
        save_file({name: np.zeros(shape, np.float32) for name, shape in tensors.items()}, folder / file)
        if kind is Kind.RANKER:
            save_file({"a": np.zeros(1)}, folder / "counts.safetensors")
    return verify(store, "x")


def test_an_adapter_has_pairs_of_factors_with_its_rank(store: Store) -> None:
    fields = {"config": {"strategy": "verbalizer", "ranker": {"lora_rank": 4}}, "metrics": {}}
    down, up = "base.q_proj.lora_A.weight", "base.q_proj.lora_B.weight"

    def wrong(tensors: dict[str, Any]) -> str:
        return staged(store, Kind.RANKER, "adapter_model.safetensors", tensors, **fields)[0]

    # Nothing is wrong with the tensors; the manifest has no fusion.
    assert "its content cannot be read (KeyError" in wrong({down: (4, 64), up: (64, 4)})
    assert "has no tensor base.q_proj.lora_B.weight" in wrong({down: (4, 64)})
    assert "F32 of 8 x 64, not F32 of 4 x" in wrong({down: (8, 64), up: (64, 8)})
    assert "lora_B.weight as F32 of 64, not" in wrong({down: (4, 64), up: (64,)})


def test_an_evaluation_has_ranks_for_each_metric(store: Store) -> None:
    fields = {"config": {}, "metrics": {"retriever": {}, "all": {}}}
    assert "F32 of 3, not I32" in staged(store, Kind.EVALUATION, "ranks.safetensors", {"retriever": 3}, **fields)[0]
    assert "it holds no ranks" in staged(store, Kind.EVALUATION, "other.safetensors", {"retriever": 3}, **fields)[0]
