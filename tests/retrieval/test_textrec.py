"""Item vectors from titles: equal titles are equal items, known to the catalogue or not."""

import numpy as np
import pytest
import torch

from llamarec_cli.data.splits import Sequences
from llamarec_cli.retrieval.candidates import retrieve
from llamarec_cli.retrieval.features import Source
from llamarec_cli.retrieval.item_texts import (
    TfidfVectors,
    random_vectors,
)
from llamarec_cli.retrieval.textrec import TextRec, TextRecConfig

TITLES = ["Halo 3", "Halo 4", "Gran Turismo 5", "Zelda", "Turismo", "Halo 3"]


def trained(features: str, raw: dict[Source, object]) -> TextRec:
    torch.manual_seed(0)
    config = TextRecConfig(width=8, hidden=8, dimensions=4, features=features)
    model = TextRec(len(TITLES), config, raw).eval()
    with torch.no_grad():
        model.refresh()
    return model


def history() -> Sequences:
    return Sequences(np.array([1, 3], dtype=np.int32), np.array([0, 2]))


@pytest.mark.parametrize("features", ["language-model", "tfidf", "both", "random"])
def test_an_unseen_title_scores_as_the_same_title_in_the_catalogue(features: str) -> None:
    read = torch.randn(len(TITLES), 6, generator=torch.Generator().manual_seed(1))
    words = TfidfVectors(TITLES)
    raw = {
        "language-model": {Source.LANGUAGE_MODEL: read},
        "tfidf": {Source.TFIDF: words(TITLES)},
        "both": {Source.LANGUAGE_MODEL: read, Source.TFIDF: words(TITLES)},
        "random": {Source.RANDOM: random_vectors(TITLES)},
    }[features]
    model = trained(features, raw)
    scores = model.score(history(), np.array([0]))[0]
    unseen = model.score_texts(history(), np.array([0]), {source: vectors[[1, 3]] for source, vectors in raw.items()})
    assert torch.allclose(unseen[0], scores[[2, 4]], atol=1e-5)


def test_equal_titles_are_equal_items() -> None:
    model = trained("tfidf", {Source.TFIDF: TfidfVectors(TITLES)(TITLES)})
    scores = model.score(history(), np.array([0]))[0].detach()
    assert scores[1] == pytest.approx(float(scores[6]), abs=1e-5)


def test_a_loaded_model_needs_no_features() -> None:
    model = trained("random", {Source.RANDOM: random_vectors(TITLES)})
    assert not any("features" in name for name in model.state_dict())
    loaded = TextRec(len(TITLES), model.config)
    loaded.load_state_dict(model.state_dict())
    assert (retrieve(loaded, history(), 3).items_SK == retrieve(model, history(), 3).items_SK).all()
