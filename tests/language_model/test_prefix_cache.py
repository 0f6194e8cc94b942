"""The prefix cache changes no probability and stays within its capacity."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fakes import byte_tokenizer, tiny_llama, tiny_mistral

from llamarec_cli.language_model.attention import use_block_attention
from llamarec_cli.language_model.forward import transformer_of
from llamarec_cli.language_model.prefix_cache import PrefixCache
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.strategies.likelihood import LikelihoodEngine
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

TITLES = ["", *(f"Film {number}" for number in range(1, 41))]
HISTORY = list(range(1, 11))


def with_blocks() -> Any:
    model = tiny_llama()
    use_block_attention(model)
    return model


def sliding() -> Any:
    return tiny_mistral(window=64)


def engines(model: Any, prefix_bytes: int) -> list[CandidateScorer]:
    tokenizer = byte_tokenizer()
    return [
        RankingEngine(model, PromptEncoder(tokenizer, TITLES), prefix_bytes=prefix_bytes),
        LikelihoodEngine(model, tokenizer, TITLES, prefix_bytes=prefix_bytes),
    ]


@pytest.mark.parametrize("make", [tiny_llama, with_blocks, sliding])
def test_cached_prefixes_do_not_change_probabilities(make: Callable[[], Any]) -> None:
    model = make()
    requests = [
        (HISTORY, [20, 21, 22]),
        (HISTORY, [30, 31, 22]),  # other candidates
        ([*HISTORY, 11], [30, 31, 32]),  # one more item
        (HISTORY[:4], [30, 31]),  # fewer
        ([40, *HISTORY], [20, 21]),  # another user
        (HISTORY, [20, 21, 22]),
    ]
    for cached, uncached in zip(engines(model, 10**8), engines(model, 0), strict=True):
        for history, candidates in requests:
            found, expected = cached.rank(history, candidates), uncached.rank(history, candidates)
            assert np.allclose(found, expected, atol=1e-4), (history, candidates)


def test_a_second_ranking_computes_only_new_tokens() -> None:
    for engine in engines(tiny_llama(), 10**8):
        engine.rank(HISTORY, [20, 21])
        first = engine.prefixes.computed_tokens  # type: ignore[attr-defined]
        engine.rank(HISTORY, [20, 21])
        assert engine.prefixes.computed_tokens - first < 0.6 * first  # type: ignore[attr-defined]


def test_one_more_item_computes_that_item_and_the_candidates() -> None:
    engine = RankingEngine(tiny_llama(), PromptEncoder(byte_tokenizer(), TITLES), prefix_bytes=10**8)
    engine.rank(HISTORY, [20])
    before = engine.prefixes.computed_tokens
    engine.rank([*HISTORY, 11], [20])
    prompt = engine.encoder.prompt([*HISTORY, 11], [20])
    longer = len(b" \n (11) Film 11; \n Candidate pool: (A)")
    assert engine.prefixes.computed_tokens - before == len(prompt.ids) - prompt.shared + longer


def test_memory_is_bounded_by_evicting_the_least_recently_used_entry() -> None:
    model = tiny_llama()
    prompts = [[user, *range(50, 150), 1, 2] for user in range(4)]
    probe = PrefixCache(transformer_of(model), model.device, 10**8)
    with torch.inference_mode():
        probe.hidden_states(prompts[0], 101)
        each = probe.bytes
        assert each == 101 * 2 * 2 * 2 * 16 * 4  # tokens, layers, keys and values, heads, their size, bytes
        cache = PrefixCache(transformer_of(model), model.device, 2 * each)
        for user in (0, 1, 0, 2):  # 1 is the least recently used when 2 comes
            cache.hidden_states(prompts[user], 101)
        assert cache.bytes == 2 * each
        assert len(cache.hidden_states(prompts[0], 101)) == 2
        assert len(cache.hidden_states(prompts[2], 101)) == 2
        assert len(cache.hidden_states(prompts[1], 101)) == 103
        disabled = PrefixCache(transformer_of(model), model.device, 0)
        disabled.hidden_states(prompts[0], 101)
        assert disabled.bytes == 0
