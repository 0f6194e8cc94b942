"""Vectors of titles are mean hidden states of the chosen layers, independent of other titles in the batch."""

import pytest
import torch
from fakes import byte_tokenizer, tiny_gpt2, tiny_llama, tiny_qwen2

from llamarec_cli.language_model.title_encoder import TitleEncoder

TITLES = ["Halo 3", "A", "Gran Turismo 5", "Q&amp;A", "Zelda: Ocarina of Time"]


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2, tiny_gpt2])
def test_a_vector_is_the_mean_hidden_state_of_a_layer_without_the_first_token(make) -> None:  # type: ignore[no-untyped-def]
    tokenizer = byte_tokenizer()
    ids = tokenizer.encode("Halo 3", add_special_tokens=False)[:4]
    states = make()(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    found = TitleEncoder(make(), tokenizer, (0.5,), title_tokens=4)(TITLES)
    assert found.shape == (5, 64)
    assert torch.allclose(found[0], states[1][0, 1:].mean(dim=0), atol=1e-4)


def test_a_title_has_the_same_vector_alone_and_in_a_batch() -> None:
    encoder = TitleEncoder(tiny_llama(), byte_tokenizer(), (0.5, 1.0), title_tokens=8)
    together = encoder(TITLES)
    assert together.shape == (5, 128)
    for title, vector in zip(TITLES, together, strict=True):
        assert torch.allclose(encoder([title])[0], vector, atol=1e-4)


def test_html_entities_are_resolved() -> None:
    encoder = TitleEncoder(tiny_llama(), byte_tokenizer(), (1.0,), title_tokens=24)
    assert torch.allclose(encoder(["Q&amp;A"]), encoder(["Q&A"]))


def test_titles_of_one_token_or_none_have_vectors() -> None:
    found = TitleEncoder(tiny_llama(), byte_tokenizer(), (1.0,), title_tokens=24)(["A", ""])
    assert torch.isfinite(found).all()
