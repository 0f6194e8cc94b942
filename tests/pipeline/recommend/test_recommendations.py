"""What ranks a list is said in words."""

from llamarec_cli.pipeline.recommend.recommendations import ranking_sentence
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
