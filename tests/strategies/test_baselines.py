from typing import Any

import numpy as np
import pytest
import torch
from fakes import byte_tokenizer, tiny_llama
from tiny_models import tiny_model

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.strategies import generation
from llamarec_cli.strategies.generation import GenerateLetters, GenerateTitles
from llamarec_cli.strategies.pointwise import Pointwise
from llamarec_cli.strategies.prompt import render_pointwise_prompt
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.registry import STRATEGIES, ScorerOptions
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

TITLES = ["", "Alien", "Brazil", "Heat", "Up"]


@pytest.fixture
def encoder() -> PromptEncoder:
    return PromptEncoder(byte_tokenizer(), TITLES)


def order(scores: np.ndarray) -> list[int]:
    assert np.exp(scores).sum() == pytest.approx(1)
    return np.argsort(-scores, kind="stable").tolist()


def writes(monkeypatch: pytest.MonkeyPatch, text: str) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    def fake(model: Any, tokenizer: Any, prompt: str, limit: int, *, to_the_end: bool) -> str:
        calls.append({"prompt": prompt, "limit": limit})
        return text

    monkeypatch.setattr(generation, "generate", fake)
    return calls


def test_titles_are_parsed_in_order_and_unparsable_lines_are_counted(
    monkeypatch: pytest.MonkeyPatch, encoder: PromptEncoder
) -> None:
    calls = writes(monkeypatch, "1. up\nNo Such Film\n(B)  HEAT \n\nup\n")
    ranker = GenerateTitles(None, encoder)
    assert order(ranker.rank([1], [2, 3, 4])) == [2, 1, 0]
    assert (ranker.unparsed, ranker.unnamed) == (1, 1)
    # It ends when the response is longer than all titles together.
    assert calls[0]["limit"] == len("Brazil\nHeat\nUp\n")
    assert "one title a line" in calls[0]["prompt"]


def test_letters_are_parsed_in_order(monkeypatch: pytest.MonkeyPatch, encoder: PromptEncoder) -> None:
    writes(monkeypatch, "C, Z, A, and C")
    ranker = GenerateLetters(None, encoder)
    assert order(ranker.rank([1], [2, 3, 4])) == [2, 0, 1]
    assert (ranker.unparsed, ranker.unnamed) == (2, 1)
    ranker.rank([1], [2, 3, 4])
    assert (ranker.unparsed, ranker.unnamed) == (4, 2)


def test_nothing_that_can_be_parsed_leaves_the_order(monkeypatch: pytest.MonkeyPatch, encoder: PromptEncoder) -> None:
    writes(monkeypatch, "I would recommend watching films.")
    assert order(GenerateTitles(None, encoder).rank([1], [2, 3, 4])) == [0, 1, 2]


def test_pointwise_is_yes_less_no_of_each_candidate(encoder: PromptEncoder) -> None:
    model = tiny_llama()
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["Yes", "No"])
    model.resize_token_embeddings(len(tokenizer))
    ranker = Pointwise(model, PromptEncoder(tokenizer, TITLES))
    scores = ranker.rank([1], [2, 3, 4])
    margins = []
    for item in (2, 3, 4):
        prompt = tokenizer.encode(render_pointwise_prompt([TITLES[1]], TITLES[item]))
        with torch.no_grad():
            logits = model(torch.tensor([prompt])).logits[0, -1]
        yes, no = (logits[tokenizer.encode(answer)[0]] for answer in ("Yes", "No"))
        margins.append(float(yes - no))
    assert (scores - scores[0]).tolist() == pytest.approx([margin - margins[0] for margin in margins], abs=1e-4)
    swapped = ranker.rank([1], [4, 3, 2])
    assert scores.tolist() == pytest.approx(swapped[::-1].tolist(), abs=1e-5)


def test_a_real_model_writes_as_much_as_it_is_told(encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_llama()
    asked: list[torch.Tensor] = []
    original = model.generate
    monkeypatch.setattr(model, "generate", lambda *args, **named: asked.append(original(*args, **named)) or asked[-1])
    prompt = len(encoder.tokenizer.encode("Alien"))
    generation.generate(model, encoder.tokenizer, "Alien", 7, to_the_end=True)
    assert asked[0].shape[1] - prompt == 7
    for ranker in (GenerateTitles(model, encoder), GenerateLetters(model, encoder), RankingEngine(model, encoder)):
        assert len(ranker.rank([1, 2], [3, 4])) == 2


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_tokenizer_of_another_model_is_a_sentence(strategy: str) -> None:
    with pytest.raises(LlamaRecError, match="has 256 tokens, and the model only 100"):
        STRATEGIES[strategy].make(
            tiny_model("llama", vocab_size=100, pad_token_id=0), byte_tokenizer(), TITLES, ScorerOptions()
        )
