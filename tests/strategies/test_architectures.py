"""Every strategy beside plain forward passes of transformers, for each architecture that is claimed: equal, or refused.

An architecture is `equal` if what each strategy returns is what transformers alone computes, and `refused` if loading
it ends in a sentence. Windows are shorter than the prompts, caps lower than the logits, scales far from 1.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import byte_tokenizer
from tiny_models import ARCHITECTURES, tiny_model

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.inference import load_for_ranking
from llamarec_cli.names import Precision
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.strategies.generation import generate
from llamarec_cli.strategies.likelihood import LikelihoodEngine
from llamarec_cli.strategies.prompt import render_generation_prompt, render_list, render_pointwise_prompt, render_prompt
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.registry import STRATEGIES, ScorerOptions
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

TITLES = ["", *(f"Film {chr(64 + number)} of {1900 + number * number}" for number in range(1, 10))]
HISTORY, CANDIDATES = [1, 2, 3, 4], [5, 6, 7, 8]
RECENT, POOL = [TITLES[item] for item in HISTORY], [TITLES[item] for item in CANDIDATES]
TOKENIZER = byte_tokenizer()


@pytest.fixture(scope="module", params=ARCHITECTURES)
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A model as transformers alone runs it, and the same as this package loads it to rank."""
    plain, folder = tiny_model(request.param), tmp_path_factory.mktemp("model")
    return plain, load_for_ranking(save(plain, folder), torch.device("cpu"), Precision.FP32)


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


@torch.no_grad()
def log_probabilities(plain: Any, ids: list[int]) -> torch.Tensor:
    """Of every token of the vocabulary behind each position, L x V, by the model's own forward pass."""
    return torch.log_softmax(plain(torch.tensor([ids])).logits[0].float(), dim=-1)


def make_scorer(strategy: str, model: Any, titles: list[str]) -> CandidateScorer:
    return STRATEGIES[strategy].make(model, TOKENIZER, titles, ScorerOptions())


def normalised(scores: np.ndarray) -> np.ndarray:
    return scores - np.log(np.exp(scores).sum())


def test_verbalizer(models: tuple[Any, Any]) -> None:
    plain, model = models
    last = log_probabilities(plain, TOKENIZER.encode(render_prompt(RECENT, POOL)))[-1]
    letters = [TOKENIZER.encode(letter)[0] for letter in "ABCD"]
    expected = normalised(last[letters].numpy())
    assert np.ptp(expected) > 0.05  # were all alike, any path would give the same
    scorer = make_scorer("verbalizer", model, TITLES)
    assert isinstance(scorer, RankingEngine)
    for _ in range(2):  # the second time the history is known
        assert np.allclose(scorer.rank(HISTORY, CANDIDATES), expected, atol=1e-4)
    assert scorer.rank_with_mass(HISTORY, CANDIDATES)[1] == pytest.approx(float(last.exp()[letters].sum()), rel=1e-3)
    short = RankingExample(np.array(HISTORY[:1]), np.array(CANDIDATES), 0)
    together = dict(scorer.rank_in_batches([RankingExample(np.array(HISTORY), np.array(CANDIDATES), 0), short]))
    assert np.allclose(together[0], expected, atol=1e-4)


def test_likelihood(models: tuple[Any, Any]) -> None:
    plain, model = models

    def summed(history: list[str]) -> np.ndarray:
        trunk, after = render_list(history)
        before = TOKENIZER.encode(trunk)
        branches = [TOKENIZER.encode(after + title) for title in POOL]
        passes = [(log_probabilities(plain, before + branch), branch) for branch in branches]
        return np.array(
            [sum(float(one[len(before) - 1 + at, token]) for at, token in enumerate(ids)) for one, ids in passes]
        )

    expected = normalised(summed(RECENT) - summed([]))
    assert np.ptp(expected) > 0.1
    scorer = make_scorer("likelihood", model, TITLES)
    assert isinstance(scorer, LikelihoodEngine)
    for _ in range(2):
        assert np.allclose(scorer.rank(HISTORY, CANDIDATES), expected, atol=1e-3)
    assert np.allclose(scorer.title_priors()[CANDIDATES], summed([]), atol=1e-3)


def test_pointwise(models: tuple[Any, Any]) -> None:
    plain, model = models
    lasts = [log_probabilities(plain, TOKENIZER.encode(render_pointwise_prompt(RECENT, title)))[-1] for title in POOL]
    yes, no = (TOKENIZER.encode(answer)[0] for answer in "YN")
    expected = normalised(np.array([float(last[yes] - last[no]) for last in lasts]))
    found = make_scorer("pointwise", model, TITLES).rank(HISTORY, CANDIDATES)
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("letters", [True, False])
def test_generation(models: tuple[Any, Any], letters: bool) -> None:
    plain, model = models
    prompt = render_generation_prompt(RECENT, POOL, letters=letters)
    written: list[int] = []
    while len(written) < 8 and 256 not in written:
        written.append(int(log_probabilities(plain, TOKENIZER.encode(prompt) + written)[-1].argmax()))
    assert generate(model, TOKENIZER, prompt, 8) == TOKENIZER.decode(written, skip_special_tokens=True)


@pytest.mark.parametrize("architecture", ["gpt2", "opt"])
def test_a_prompt_that_is_too_long_for_the_positions_loses_its_oldest_items(architecture: str) -> None:
    limit = {"n_positions": 400} if architecture == "gpt2" else {"max_position_embeddings": 400}
    model = tiny_model(architecture, **limit)
    titles = ["", *(f"{number:02d} " + "x" * 29 for number in range(1, 30))]
    for strategy in STRATEGIES:
        scorer = make_scorer(strategy, model, titles)
        assert np.exp(scorer.rank(range(1, 21), [25, 26])).sum() == pytest.approx(1)
    unlimited, limited = PromptEncoder(TOKENIZER, titles), PromptEncoder(TOKENIZER, titles, positions=400)
    lengths = [len(unlimited.encode(range(21 - count, 21), [25, 26])) for count in range(1, 21)]
    # One position is the answer's.
    fitting = max(count for count, length in enumerate(lengths, start=1) if length < 400)
    assert 1 < fitting < 20
    assert limited.encode(range(1, 21), [25, 26]) == unlimited.encode(range(21 - fitting, 21), [25, 26])


def test_candidates_that_are_too_long_by_themselves_are_a_sentence() -> None:
    encoder = PromptEncoder(TOKENIZER, ["", *["x" * 32] * 20], positions=500)
    with pytest.raises(LlamaRecError, match="longer than the 500"):
        encoder.prompt([1], list(range(2, 20)))
