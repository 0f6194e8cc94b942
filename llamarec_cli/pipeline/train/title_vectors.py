"""Raw vectors of a catalogue's titles, for TextRec and its controls.

A language model's vectors are cached in the store, one artefact for each data set and base model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, assert_never

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from llamarec_cli.artefacts.base_model import BaseModel, need_base_model, title_vectors_name
from llamarec_cli.artefacts.contents import VECTORS_FILE
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.training_state import TrainingStates
from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.devices import best_device
from llamarec_cli.errors import LlamaRecError, command
from llamarec_cli.language_model.base_models import compute_dtype, load_base_model, load_tokenizer
from llamarec_cli.language_model.title_encoder import TitleEncoder
from llamarec_cli.retrieval.features import Features, Source
from llamarec_cli.retrieval.item_texts import TfidfVectors, random_vectors
from llamarec_cli.retrieval.registry import described_row
from llamarec_cli.retrieval.textrec import TextRecConfig
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact


@dataclass(frozen=True)
class Reading:
    """How a language model reads titles.

    Attributes:
        depths: Layers whose hidden states are read, as shares of the model's depth.
        title_tokens: Maximum number of tokens of a title.
    """

    depths: Sequence[float]
    title_tokens: int


def raw_vectors(
    context: Context, dataset: Artefact, data: PreparedData, config: TextRecConfig, base: BaseModel | None
) -> dict[Source, Any]:
    """Return the raw vectors of a catalogue's titles by source, without the padding's.

    Args:
        context: Store and reporting callbacks.
        dataset: The data set in the store.
        data: Its content.
        config: Names the sources and how a language model reads.
        base: The language model; None if no source needs one.
    """
    titles = data.titles[1:]
    raw: dict[Source, Any] = {}
    for source in Features(config.features).sources:
        match source:
            case Source.LANGUAGE_MODEL:
                assert base is not None
                reading = Reading(config.depths, config.title_tokens)
                raw[source] = need_title_vectors(context, dataset, data, base, reading)
            case Source.TFIDF:
                raw[source] = TfidfVectors(titles)(titles)
            case Source.RANDOM:
                raw[source] = random_vectors(titles)
            case _:
                assert_never(source)
    return raw


def raw_of_new_titles(
    context: Context, retriever: Artefact, data: PreparedData, titles: Sequence[str]
) -> dict[Source, Any]:
    """Return the raw vectors of titles that need not be in the catalogue, for `TextRec.score_texts`.

    Args:
        context: Store and reporting callbacks.
        retriever: A checkpoint of TextRec.
        data: The data set it was trained on.
        titles: Any titles.

    Raises:
        LlamaRecError: The language model that read the catalogue cannot be had, or has changed.
    """
    made = retriever.manifest.config
    row = described_row(made)
    config: TextRecConfig = row.config(**made[row.name])
    raw: dict[Source, Any] = {}
    for source in Features(config.features).sources:
        match source:
            case Source.LANGUAGE_MODEL:
                base = need_base_model(context, made["base"], revision=made["base_digest"])
                if base.digest != made["base_digest"]:
                    raise LlamaRecError(
                        f"{retriever.manifest.name} was trained with another version of {base.name}.",
                        command("train retriever", dataset=made["dataset"], model=row.name, replace=True),
                    )
                raw[source] = open_reader(base, Reading(config.depths, config.title_tokens))(titles)
            case Source.TFIDF:
                raw[source] = TfidfVectors(data.titles[1:])(titles)
            case Source.RANDOM:
                raw[source] = random_vectors(titles)
            case _:
                assert_never(source)
    return raw


def open_reader(base: BaseModel, reading: Reading) -> TitleEncoder:
    """Load a base model to read titles with."""
    model = load_base_model(base.path, best_device())
    return TitleEncoder(model, load_tokenizer(base.path), reading.depths, reading.title_tokens)


def need_title_vectors(
    context: Context, dataset: Artefact, data: PreparedData, base: BaseModel, reading: Reading
) -> Tensor:
    """Return a language model's raw vectors of a catalogue's titles, without the padding's, from the store if possible.

    Stored vectors are used if titles, base model, precision and `reading` are the same; otherwise they are computed
    and replaced. An interrupted computation resumes.
    """
    name = title_vectors_name(dataset.manifest.name, base.name)
    with context.store.making(name, context.say):
        config = {
            "vocabulary": data.vocabulary_digest(),
            "base": base.name,
            "base_digest": base.digest,
            "dtype": str(compute_dtype(best_device())).removeprefix("torch."),
            **asdict(reading),
            "depths": list(reading.depths),
        }
        if name in context.store:
            stored = context.store.open(name, Kind.TITLE_VECTORS)
            if stored.manifest.config == config:
                return load_file(stored.path / VECTORS_FILE)["vectors"]
        vectors = _read(context, name, data.titles[1:], open_reader(base, reading), config)
        manifest = Manifest(
            name=name,
            kind=Kind.TITLE_VECTORS,
            config=config,
            parents={dataset.manifest.name: dataset.manifest.digest},
            metrics={},
            command=context.command,
        )
        with context.store.stage(manifest, replace=True) as folder:
            save_file({"vectors": vectors}, folder / VECTORS_FILE)
        TrainingStates(context, name, config).clear()
        return vectors


def _read(context: Context, name: str, titles: list[str], reader: TitleEncoder, config: dict[str, object]) -> Tensor:
    states = TrainingStates(context, name, config)
    vectors, done = torch.zeros(len(titles), reader.width), 0
    if saved := states.load():
        vectors, done = saved[0]["vectors"], saved[1]["done"]
    return reader.encode(
        titles, vectors, done, lambda so_far, count: states.save({"vectors": so_far}, {"done": count}), context.report
    )
