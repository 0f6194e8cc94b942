from typing import Any

import numpy as np
import pytest
import torch
from fakes import byte_tokenizer, tiny_llama

from llamarec_cli.strategies import generation
from llamarec_cli.strategies.generation import GenerateLetters, GenerateTitles
from llamarec_cli.strategies.prompt_encoder import PromptEncoder

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


def test_text_without_a_candidate_leaves_the_order_given(
    monkeypatch: pytest.MonkeyPatch, encoder: PromptEncoder
) -> None:
    writes(monkeypatch, "I would recommend watching films.")
    assert order(GenerateTitles(None, encoder).rank([1], [2, 3, 4])) == [0, 1, 2]


def test_generation_continues_to_the_limit_if_asked(encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_llama()
    asked: list[torch.Tensor] = []
    original = model.generate
    monkeypatch.setattr(model, "generate", lambda *args, **named: asked.append(original(*args, **named)) or asked[-1])
    prompt = len(encoder.tokenizer.encode("Alien"))
    generation.generate(model, encoder.tokenizer, "Alien", 7, to_the_end=True)
    assert asked[0].shape[1] - prompt == 7
    for ranker in (GenerateTitles(model, encoder), GenerateLetters(model, encoder)):
        assert len(ranker.rank([1, 2], [3, 4])) == 2
