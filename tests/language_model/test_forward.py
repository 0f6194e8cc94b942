from typing import Any

import pytest
import torch
from fakes import tiny_gpt2, tiny_llama, tiny_mistral, tiny_qwen2
from hypothesis import given
from hypothesis import strategies as st

from llamarec_cli.language_model.attention import use_block_attention
from llamarec_cli.language_model.forward import group_by_length, hidden_states, transformer_of

MODELS = {
    "llama": tiny_llama,
    "qwen2": tiny_qwen2,
    "mistral": lambda: tiny_mistral(window=None),
    # These two are padded: one has a sliding window, the layers of the other may drop unknown arguments.
    "mistral with a window": lambda: tiny_mistral(window=16),
    "gpt2": tiny_gpt2,
}
LENGTHS = (70, 3, 129, 40, 1)


def prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 258, (length,), generator=generator).tolist() for length in LENGTHS]


def computed_tokens(model: Any, seen: list[int]) -> None:
    embedding = model.get_input_embeddings()
    embedding.register_forward_hook(lambda module, args, output: seen.append(args[0].numel()))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_prompts_in_one_pass_have_the_hidden_states_of_each_alone(name: str, training: bool) -> None:
    plain, model = MODELS[name](), MODELS[name]()
    use_block_attention(model)
    with torch.set_grad_enabled(training):
        found = hidden_states(model, prompts())
        for one, prompt in zip(found, prompts(), strict=True):
            expected = transformer_of(plain)(torch.tensor([prompt])).last_hidden_state[0]
            assert torch.allclose(one, expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama", "qwen2", "mistral"])
def test_no_padding_is_computed(name: str) -> None:
    model = MODELS[name]()
    use_block_attention(model)
    seen: list[int] = []
    computed_tokens(model, seen)
    hidden_states(model, prompts())
    assert seen == [sum(LENGTHS)]


@torch.no_grad()
def test_layers_that_drop_the_prompt_lengths_are_an_error() -> None:
    model = tiny_llama()
    use_block_attention(model)
    for layer in model.model.layers:

        def forgetful(whole: Any = layer.self_attn.forward, **options: Any) -> Any:
            return whole(**{name: value for name, value in options.items() if name != "prompt_lengths"})

        layer.self_attn.forward = forgetful
    with pytest.raises(RuntimeError, match="prompt lengths"):
        hidden_states(model, prompts())


@torch.no_grad()
def test_packed_prompts_do_not_attend_to_each_other() -> None:
    model = tiny_llama()
    use_block_attention(model)
    first, second, third = ([1, 2, 3, 4], [5] * 9, [6, 7])
    before = hidden_states(model, [first, second, third])
    after = hidden_states(model, [first, [8] * 9, third])
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[2], after[2])
    assert not torch.allclose(before[1], after[1])


@torch.no_grad()
def test_a_model_with_another_attention_is_padded() -> None:
    model = tiny_llama()
    model.set_attn_implementation("eager")
    seen: list[int] = []
    computed_tokens(model, seen)
    found = hidden_states(model, prompts())
    assert seen == [len(LENGTHS) * max(LENGTHS)]
    assert [len(one) for one in found] == list(LENGTHS)


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 120))
def test_batches_contain_every_prompt_once_within_the_token_limit(lengths: list[int], tokens: int) -> None:
    groups = group_by_length(lengths, tokens)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[index] for index in group) <= tokens
    longest = [max(lengths[index] for index in group) for group in groups]
    assert longest == sorted(longest, reverse=True)


def test_batches_contain_prompts_of_similar_length() -> None:
    assert group_by_length([3, 9, 4, 10, 3], 20) == [[3, 1], [2, 0, 4]]
    assert group_by_length([3, 9, 4], 1) == [[1], [2], [0]]
