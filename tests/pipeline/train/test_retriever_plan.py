import pytest

from llamarec_cli.errors import UnknownNameError
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest

TFIDF = {"textrec": {"features": "tfidf"}}


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (RetrieverRequest("games"), "games/lrurec"),
        (RetrieverRequest("games", model="textrec"), "games/textrec"),
        (
            RetrieverRequest("games", model="textrec", overrides={"textrec": {"features": "tfidf"}}),
            "games/textrec-tfidf",
        ),
        (RetrieverRequest("games", model="lrurec", overrides=TFIDF), "games/lrurec"),
        (RetrieverRequest("games", model="sasrec", name="games/mine"), "games/mine"),
    ],
)
def test_a_checkpoint_is_named_after_data_set_model_and_features(request_: RetrieverRequest, name: str) -> None:
    assert request_.checkpoint == name


def test_only_features_of_a_language_model_need_one() -> None:
    assert RetrieverRequest("games").reads_language_model("textrec")
    assert not RetrieverRequest("games").reads_language_model("lrurec")
    for features, needed in (("both", True), ("tfidf", False), ("random", False)):
        request = RetrieverRequest("games", overrides={"textrec": {"features": features}})
        assert request.reads_language_model("textrec") == needed


def test_unknown_models_and_features_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean sasrec"):
        _ = RetrieverRequest("games", model="sasrek").checkpoint
    with pytest.raises(UnknownNameError, match="kind of features called tfdif: did you mean tfidf"):
        _ = RetrieverRequest("games", model="textrec", overrides={"textrec": {"features": "tfdif"}}).checkpoint
