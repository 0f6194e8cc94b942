"""The titles of a catalogue are read once for a base model, and an interrupted reading goes on."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import byte_tokenizer, tiny_llama

from llamarec_cli.artefacts.base_model import BaseModel, need_base_model
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.retrievers import load_retriever
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model import title_encoder
from llamarec_cli.language_model.title_encoder import TitleEncoder
from llamarec_cli.pipeline.prepare import need_dataset, prepare_dataset
from llamarec_cli.pipeline.train.retriever import train
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest
from llamarec_cli.pipeline.train.title_vectors import Reading, need_title_vectors, raw_of_new_titles
from llamarec_cli.progress import Progress
from llamarec_cli.retrieval.candidates import rank_targets
from llamarec_cli.store.registry import Artefact

READING = Reading((0.5, 1.0), 8)
OVERRIDES = {
    "lrurec": {"width": 16, "blocks": 1, "max_length": 12},
    "textrec": {"width": 16, "blocks": 1, "max_length": 12, "dimensions": 8, "hidden": 16},
    "training": {"batch_size": 16, "epochs": 8, "validate_every": 8},
}


@pytest.fixture
def dataset(context: Context, raw_folder: Path) -> tuple[Artefact, PreparedData]:
    prepare_dataset(context, "ml-100k", raw_folder)
    data, artefact = need_dataset(context, "ml-100k")
    return artefact, data


def save(folder: Path, seed: int = 0) -> str:
    tiny_llama(seed).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def base(context: Context, tmp_path: Path) -> BaseModel:
    return need_base_model(context, save(tmp_path / "tiny"))


def test_titles_are_read_once(
    context: Context, dataset: tuple[Artefact, PreparedData], base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = need_title_vectors(context, *dataset, base, READING)
    assert first.shape == (40, 128)
    monkeypatch.setattr(TitleEncoder, "encode", lambda *_: pytest.fail("read again"))
    assert torch.equal(need_title_vectors(context, *dataset, base, READING), first)


def test_another_base_or_another_way_of_reading_reads_anew(
    context: Context, dataset: tuple[Artefact, PreparedData], base: BaseModel, tmp_path: Path
) -> None:
    first = need_title_vectors(context, *dataset, base, READING)
    digest = context.store.open("ml-100k/tiny.titles").manifest.digest
    changed = need_base_model(context, save(tmp_path / "tiny", seed=1))
    assert changed.digest != base.digest
    assert not torch.equal(need_title_vectors(context, *dataset, changed, READING), first)
    assert context.store.open("ml-100k/tiny.titles").manifest.digest != digest
    assert need_title_vectors(context, *dataset, changed, Reading((1.0,), 8)).shape == (40, 64)


def test_a_reading_that_was_killed_goes_on_to_the_same_bytes(
    context: Context, dataset: tuple[Artefact, PreparedData], base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(title_encoder, "_BATCH_SIZE", 4)
    monkeypatch.setattr(title_encoder, "_SAVE_EVERY", 2)

    def killed(progress: Progress) -> None:
        if progress.done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        need_title_vectors(dataclasses.replace(context, report=killed), *dataset, base, READING)
    assert "ml-100k/tiny.titles" not in context.store
    begun: list[int] = []
    going_on = dataclasses.replace(context, report=lambda progress: begun.append(progress.done))
    need_title_vectors(going_on, *dataset, base, READING)
    assert begun[0] == 20
    resumed = context.store.open("ml-100k/tiny.titles").manifest.digest
    context.store.remove("ml-100k/tiny.titles")
    need_title_vectors(context, *dataset, base, READING)
    assert context.store.open("ml-100k/tiny.titles").manifest.digest == resumed


def test_a_retriever_of_titles_needs_no_language_model_but_for_new_titles(
    context: Context, dataset: tuple[Artefact, PreparedData], base: BaseModel, tmp_path: Path
) -> None:
    _, data = dataset
    made = train(context, RetrieverRequest("ml-100k", model="textrec", base=base.name, overrides=OVERRIDES))
    assert made.manifest.config["base_digest"] == base.digest
    (tmp_path / "tiny").rename(tmp_path / "away")
    found = load_retriever(context, "ml-100k/textrec", data)
    assert found.model.reads_language_model
    (tmp_path / "away").rename(tmp_path / "tiny")
    model: Any = found.model
    titles = [data.titles[3], data.titles[7]]
    raw = raw_of_new_titles(context, made, data, titles)
    histories, users = _histories(data)
    scores = model.score(histories, users)
    assert torch.allclose(model.score_texts(histories, users, raw), scores[:, [3, 7]], atol=1e-4)
    save(tmp_path / "tiny", seed=1)
    with pytest.raises(LlamaRecError, match="another version"):
        raw_of_new_titles(context, made, data, titles)


def test_controls_are_options_of_the_same_model(context: Context, dataset: tuple[Artefact, PreparedData]) -> None:
    for features in ("tfidf", "random"):
        overrides = {**OVERRIDES, "textrec": {**OVERRIDES["textrec"], "features": features}}
        made = train(context, RetrieverRequest("ml-100k", model="textrec", base="nowhere", overrides=overrides))
        assert made.manifest.name == f"ml-100k/textrec-{features}"
        assert "base" not in made.manifest.config
        assert not load_retriever(context, made.manifest.name, dataset[1]).model.reads_language_model


def test_a_blend_takes_rows_and_checkpoints_by_name(
    context: Context, dataset: tuple[Artefact, PreparedData], base: BaseModel
) -> None:
    overrides = {**OVERRIDES, "textrec": {**OVERRIDES["textrec"], "features": "random"}}
    train(context, RetrieverRequest("ml-100k", model="textrec", overrides=overrides))
    blended = {**OVERRIDES, "ensemble": {"retrievers": ["lrurec", "textrec", "textrec-random"]}}
    made = train(context, RetrieverRequest("ml-100k", model="ensemble", base=base.name, overrides=blended))
    assert set(made.manifest.parents) == {"ml-100k", "ml-100k/lrurec", "ml-100k/textrec", "ml-100k/textrec-random"}
    parts = [part["name"] for part in made.manifest.metrics["blend"]["parts"]]
    assert parts == ["lrurec", "textrec", "textrec-random", "together", "following"]
    model = load_retriever(context, "ml-100k/ensemble", dataset[1]).model
    assert model.reading_parts == ("textrec",)
    assert len(rank_targets(model, _cases(dataset[1]))) == dataset[1].user_count
    with pytest.raises(LlamaRecError, match="did you mean"):
        train(
            context,
            RetrieverRequest(
                "ml-100k",
                model="ensemble",
                name="ml-100k/other",
                overrides={**OVERRIDES, "ensemble": {"retrievers": ["lrurek"]}},
            ),
        )


def _cases(data: PreparedData) -> Any:
    from llamarec_cli.data.splits import Split, held_out

    return held_out(data, Split.TEST)


def _histories(data: PreparedData) -> Any:
    import numpy as np

    return _cases(data).histories, np.arange(4)
