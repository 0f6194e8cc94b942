"""Results: their JSON, and the sentence about what ranked them."""

from dataclasses import replace

from llamarec_cli.data.title_index import Match
from llamarec_cli.pipeline.recommend.recommendations import (
    Ambiguity,
    Recommendation,
    Recommendations,
    ranking_sentence,
)
from llamarec_cli.retrieval.ensemble import Ensemble, EnsembleConfig
from llamarec_cli.retrieval.item_texts import Source
from llamarec_cli.retrieval.registry import build

BLEND = Ensemble(
    3,
    EnsembleConfig(),
    [build({"lrurec": {"width": 8}}, 3), build({"textrec": {"width": 8, "raw_widths": (4,)}}, 3)],
)


def test_an_ensembles_own_order_names_its_parts() -> None:
    assert Source.LANGUAGE_MODEL in BLEND.members[1].embedding.sources
    assert ranking_sentence(["retriever"], BLEND, "tiny") == (
        "Ranked by a model of sequences (lrurec), a model of titles as tiny read them (textrec), "
        "what is chosen together and what is chosen next."
    )


def test_a_language_model_that_reads_candidates_is_named() -> None:
    sentence = ranking_sentence(["retriever", "likelihood"], build({"lrurec": {"width": 8}}, 3), "tiny")
    assert sentence == (
        "Ranked by the first stage's own order and tiny, which reads history and candidates (likelihood)."
    )


def test_a_record_has_every_field_and_a_file_repeats_some_of_them() -> None:
    ambiguity = Ambiguity("7", ("9", "7"), (("7", "Thing 07"),), by_id=False)
    found = Recommendations(
        "shop",
        "shop/ranker",
        ["retriever"],
        ["7"],
        [Match("7", 9, (7,)), Match("zzz", None)],
        [Recommendation("3", "Thing 03", 0.5)],
        ["9"],
        [ambiguity],
    )
    assert found.as_json() == {
        "dataset": "shop",
        "ranker": "shop/ranker",
        "ranked_by": ["retriever"],
        "items": [{"rank": 1, "id": "3", "title": "Thing 03", "probability": 0.5}],
        "history": ["7"],
        "history_ids": ["9"],
        "unknown": ["zzz"],
        "ambiguous": [
            {"given": "7", "taken": {"id": "9", "title": "7"}, "also": [{"id": "7", "title": "Thing 07"}]},
        ],
    }
    assert list(found.as_file_json()) == ["dataset", "items", "unknown", "ambiguous"]
    assert list(replace(found, ambiguous=[]).as_file_json()) == ["dataset", "items", "unknown"]
