import numpy as np
import pytest
import torch
from fakes import byte_tokenizer, tiny_gpt2, tiny_llama, tiny_qwen2

from llamarec_cli.language_model.forward import transformer_of
from llamarec_cli.language_model.prefix_cache import PrefixCache
from llamarec_cli.strategies.likelihood import LikelihoodEngine, branch_log_likelihoods

TITLES = ["", "Alien (1979)", "Brazil", "Heat", "The Matrix (1999)", "Up"]


def plain(model, trunk: list[int], branch: list[int]) -> float:  # type: ignore[no-untyped-def]
    """The log-likelihood of one continuation on its own, by the model's own head."""
    logits = model(torch.tensor([[*trunk, *branch]])).logits[0].float()
    log_p = torch.log_softmax(logits, dim=-1)
    return sum(float(log_p[len(trunk) - 1 + place, token]) for place, token in enumerate(branch))


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2, tiny_gpt2])
@torch.no_grad()
def test_one_pass_over_the_tree_equals_a_pass_for_each_branch(make) -> None:  # type: ignore[no-untyped-def]
    model = make()
    trunk = [5, 6, 7, 8]
    branches = [[9, 10, 11], [12], [9, 10, 13, 14], [200, 1]]
    prefixes = PrefixCache(transformer_of(model), model.device)
    for _ in range(2):  # the second time the trunk is known
        found = branch_log_likelihoods(model, trunk, branches, prefixes)
        assert found.tolist() == pytest.approx([plain(model, trunk, branch) for branch in branches], abs=1e-4)


def engine(priors: np.ndarray | None = None) -> LikelihoodEngine:
    return LikelihoodEngine(tiny_llama(), byte_tokenizer(), TITLES, priors)


@torch.no_grad()
def test_the_score_is_the_likelihood_less_the_prior() -> None:
    priors = engine().title_priors()
    assert priors[0] == 0
    tokenizer, model = byte_tokenizer(), tiny_llama()
    head = tokenizer.encode("Items that one user chose, in order:\n1.")
    assert priors[3] == pytest.approx(plain(model, head, tokenizer.encode(" Heat")), abs=1e-3)

    trunk = tokenizer.encode("Items that one user chose, in order:\n1. Brazil\n2. Up\n3.")
    candidates = [1, 3, 4]
    scores = np.array([plain(model, trunk, tokenizer.encode(f" {TITLES[item]}")) - priors[item] for item in candidates])
    expected = scores - np.log(np.exp(scores).sum())
    assert engine(priors).rank([2, 5], candidates).tolist() == pytest.approx(expected.tolist(), abs=1e-3)


def test_the_order_of_candidates_does_not_matter() -> None:
    scorer = engine(np.zeros(len(TITLES)))
    forwards, backwards = scorer.rank([2], [1, 3, 4, 5]), scorer.rank([2], [5, 4, 3, 1])
    assert forwards.tolist() == pytest.approx(backwards[::-1].tolist(), abs=1e-4)
    assert np.exp(forwards).sum() == pytest.approx(1)


def test_priors_that_are_missing_are_computed_for_the_candidates() -> None:
    kept = engine(engine().title_priors()).rank([2], [1, 3, 4])
    assert engine().rank([2], [1, 3, 4]).tolist() == pytest.approx(kept.tolist(), abs=1e-4)


@torch.no_grad()
def test_a_prior_does_not_depend_on_who_asked_first() -> None:
    alone, later = engine(), engine()
    for one in (alone, later):
        one.disable_cache()
    later.rank([1], [3, 4])
    assert np.array_equal(alone.rank([2], [3, 5, 1]), later.rank([2], [3, 5, 1]))


@torch.no_grad()
def test_titles_are_cut_where_it_is_asked() -> None:
    short = LikelihoodEngine(tiny_llama(), byte_tokenizer(), TITLES, max_title_tokens=4)
    cut = LikelihoodEngine(tiny_llama(), byte_tokenizer(), ["", *(title[:4].strip() for title in TITLES[1:])])
    assert np.array_equal(short.rank([1, 2], [3, 4]), cut.rank([1, 2], [3, 4]))
