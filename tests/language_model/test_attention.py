from itertools import pairwise

import pytest
import torch
from fakes import tiny_llama, tiny_mistral

from llamarec_cli.language_model.attention import ATTENTION_NAME, block_attention, use_block_attention, varlen_attention


@pytest.mark.parametrize(("length", "before"), [(1, 0), (63, 0), (64, 0), (200, 0), (70, 33), (1, 40)])
def test_block_attention_equals_its_definition(length: int, before: int) -> None:
    generator = torch.Generator().manual_seed(length)
    query = torch.randn(2, 6, length, 8, generator=generator)
    key, value = (torch.randn(2, 3, before + length, width, generator=generator) for width in (8, 6))
    forbidden = torch.where(torch.rand(2, length, before + length, generator=generator) < 0.3, -1e9, 0.0)
    forbidden[:, torch.arange(length), before + torch.arange(length)] = 0.0  # each token attends to itself
    causal = torch.ones(length, before + length, dtype=torch.bool).tril(before)
    for mask in (None, forbidden):
        scores = query @ key.repeat_interleave(2, dim=1).transpose(2, 3) * 0.3
        if mask is not None:
            scores = scores + mask[:, None]
        weights = scores.masked_fill(~causal, -torch.inf).softmax(-1)
        expected = (weights @ value.repeat_interleave(2, dim=1)).transpose(1, 2)
        assert torch.allclose(block_attention(query, key, value, 0.3, mask), expected, atol=1e-5)


@torch.no_grad()
def test_a_model_computes_the_same_with_block_attention_also_padded_and_when_generating() -> None:
    plain, blocks = tiny_llama(), tiny_llama()
    use_block_attention(blocks)
    assert blocks.config._attn_implementation == ATTENTION_NAME
    ids = torch.randint(0, 258, (2, 90), generator=torch.Generator().manual_seed(0))
    padding = torch.ones_like(ids)
    padding[0, :17] = 0
    for mask in (None, padding):
        expected = plain(ids, attention_mask=mask).logits
        found = blocks(ids, attention_mask=mask).logits
        seen = slice(17, None)
        assert torch.allclose(found[:, seen], expected[:, seen], atol=1e-4)
    generated = [model.generate(ids[:1], max_new_tokens=12, do_sample=False) for model in (plain, blocks)]
    assert torch.equal(*generated)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_varlen_attention_equals_block_attention_of_each_prompt(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device == "cpu":
        monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", by_definition)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, 45, 16, generator=generator).to(device, torch.bfloat16) for heads in (6, 3, 3)
    )
    lengths = (30, 4, 11)
    found = varlen_attention(query, key, value, lengths, 0.3)
    parts = zip(*(torch.split(tensor.cpu().float(), lengths, dim=2) for tensor in (query, key, value)), strict=True)
    expected = torch.cat([block_attention(*part, 0.3) for part in parts], dim=1)
    assert torch.allclose(found.cpu().float(), expected, atol=0.03)


def by_definition(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> torch.Tensor:
    """Reference of torch's GPU kernel by its documentation: packed sequences, T x H x D, causal with window (-1, 0)."""
    assert cu_seq_q.dtype == torch.int32
    assert torch.equal(cu_seq_q, cu_seq_k)
    assert (window_size, enable_gqa) == ((-1, 0), True)
    ends = cu_seq_q.tolist()
    assert max_q == max_k == max(end - begin for begin, end in pairwise(ends))
    outputs = []
    for begin, end in pairwise(ends):
        q, k, v = (tensor[begin:end].transpose(0, 1).float() for tensor in (query, key, value))
        k, v = (tensor.repeat_interleave(len(q) // len(tensor), dim=0) for tensor in (k, v))
        scores = (q @ k.transpose(1, 2) * scale).masked_fill(
            ~torch.ones(end - begin, end - begin, dtype=torch.bool).tril(), -torch.inf
        )
        outputs.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(outputs).to(query.dtype)


@torch.no_grad()
def test_a_sliding_window_is_respected() -> None:
    model = tiny_mistral(window=16)
    ids = torch.randint(0, 258, (1, 90), generator=torch.Generator().manual_seed(0))
    expected = model(ids).logits
    use_block_attention(model)
    assert torch.allclose(model(ids).logits, expected, atol=1e-4)


def test_training_uses_sdpa() -> None:
    model = tiny_llama()
    ids = torch.arange(40).unsqueeze(0)
    expected = torch.autograd.grad(model(ids).logits.logsumexp(-1).sum(), model.model.embed_tokens.weight)[0]
    use_block_attention(model)
    found = torch.autograd.grad(model(ids).logits.logsumexp(-1).sum(), model.model.embed_tokens.weight)[0]
    assert torch.equal(found, expected)
