"""Whitened features of titles."""

import pytest
import torch

from llamarec_cli.retrieval.item_texts import TfidfVectors, fit_sparse_whitening, fit_whitening, random_vectors


def test_features_are_uncorrelated_and_of_variance_1() -> None:
    raw = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) @ torch.randn(6, 6) + 3
    features = fit_whitening(raw, 4)(raw)
    assert torch.allclose(features.T @ features / 500, torch.eye(4), atol=1e-4)
    assert torch.allclose(features.mean(0), torch.zeros(4), atol=1e-4)


def test_layers_count_alike_however_large_their_numbers_are() -> None:
    small = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    large = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    one = fit_whitening(torch.cat([small, large], dim=1), 6, parts=2)(torch.cat([small, large], dim=1))
    scaled = torch.cat([small, 1000 * large], dim=1)
    assert torch.allclose(fit_whitening(scaled, 6, parts=2)(scaled), one, atol=1e-3)


@pytest.mark.parametrize("raw", [torch.ones(1, 6), torch.ones(5, 6), torch.zeros(5, 6)])
def test_a_catalogue_of_one_item_or_of_equal_titles_has_features_of_0(raw: torch.Tensor) -> None:
    assert fit_whitening(raw, 4)(raw).abs().max() == 0


@pytest.mark.parametrize("titles", [["Halo"], ["Halo"] * 4, ["!", "?"], ["Halo", "Zelda"]])
def test_words_of_small_catalogues_are_whitened_too(titles: list[str]) -> None:
    words = TfidfVectors(titles)(titles)
    features = fit_sparse_whitening(words, 4)(torch.from_numpy(words.toarray()).float())
    assert features.shape == (len(titles), 4)
    assert torch.isfinite(features).all()


def test_equal_titles_have_equal_random_vectors() -> None:
    first, other, again = random_vectors(["Halo", "Zelda", "Halo"])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
