from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import byte_tokenizer, ranking_examples, tiny_llama

from llamarec_cli.language_model.attention import use_block_attention
from llamarec_cli.language_model.base_models import load_base_model, load_tokenizer
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.strategies.prompt import render_prompt
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

TITLES = ["", *(f"Film {number}" for number in range(1, 31))]


def test_probabilities_equal_those_of_the_plain_path_with_full_logits() -> None:
    model, tokenizer = tiny_llama(), byte_tokenizer()
    engine = RankingEngine(model, PromptEncoder(tokenizer, TITLES))
    ours = engine.rank([1, 2, 3], [4, 5, 6, 7])
    prompt = render_prompt(TITLES[1:4], TITLES[4:8])
    with torch.no_grad():
        logits = model(torch.tensor([tokenizer.encode(prompt)])).logits[0, -1]
    letters = [tokenizer.encode(letter)[0] for letter in "ABCD"]
    assert np.allclose(ours, torch.log_softmax(logits[letters], -1).numpy(), atol=1e-5)
    assert np.exp(ours).sum() == pytest.approx(1)


def test_a_saved_base_model_loads_and_ranks(tiny_base_folder: Path) -> None:
    model = load_base_model(tiny_base_folder, torch.device("cpu"))
    assert not any(parameter.requires_grad for parameter in model.parameters())
    engine = RankingEngine(model, PromptEncoder(load_tokenizer(tiny_base_folder), TITLES))
    assert np.exp(engine.rank([1], [2, 3])).sum() == pytest.approx(1)


def examples() -> list[RankingExample]:
    return ranking_examples((1, 5), (12, 3), (5, 9), (20, 10), (2, 2))


@pytest.mark.parametrize("tokens", [1, 900, 10_000])
def test_batches_give_what_single_prompts_give(tokens: int) -> None:
    engine = RankingEngine(tiny_llama(), PromptEncoder(byte_tokenizer(), TITLES))
    found = dict(engine.rank_in_batches(examples(), tokens))
    for index, ranked in engine.rank_many(examples()):
        assert np.allclose(found.pop(index), ranked, atol=1e-4)
    assert not found


def test_bfloat16_in_blocks_and_in_batches_agrees_with_the_plain_path_in_float32() -> None:
    plain = tiny_llama()
    half = tiny_llama().to(torch.bfloat16)
    use_block_attention(half)
    encoder = PromptEncoder(byte_tokenizer(), TITLES)
    expected = dict(RankingEngine(plain, encoder).rank_many(examples()))
    engine = RankingEngine(half, encoder)
    for found in (engine.rank_many(examples()), engine.rank_many(examples()), engine.rank_in_batches(examples())):
        for index, ranked in found:
            assert np.allclose(np.exp(ranked), np.exp(expected[index]), atol=0.02)
