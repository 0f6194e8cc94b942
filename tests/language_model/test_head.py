from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import byte_tokenizer
from tiny_models import tiny_bert, tiny_model, tiny_t5
from transformers import CodeGenConfig, CodeGenForCausalLM

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.base_models import load_base_model
from llamarec_cli.language_model.head import IDENTITY, LogitTransform, check_head, logit_transform


def head_with_bias() -> Any:
    return CodeGenForCausalLM(
        CodeGenConfig(vocab_size=258, n_embd=32, n_layer=1, n_head=4, rotary_dim=4, bos_token_id=256, eos_token_id=256)
    )


def test_logits_are_scaled_and_then_capped() -> None:
    assert torch.equal(IDENTITY(torch.tensor([-5.0, 700.0])), torch.tensor([-5.0, 700.0]))
    expected = 3 * torch.tanh(torch.tensor([0.5, 50.0]) / 3)
    assert torch.allclose(LogitTransform(scale=0.5, cap=3.0)(torch.tensor([1.0, 100.0])), expected)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("llama", IDENTITY),
        ("gemma2, capped at 3, window of 24", LogitTransform(cap=3.0)),
        ("granite", LogitTransform(scale=1 / 8)),
        ("cohere", LogitTransform(scale=0.0625)),
    ],
)
def test_the_configuration_describes_the_logits(architecture: str, expected: LogitTransform) -> None:
    model = tiny_model(architecture)
    assert logit_transform(model) == expected
    check_head(model)


@pytest.mark.parametrize(
    ("make", "sentence"), [(tiny_t5, "an encoder"), (tiny_bert, "bias|not causal"), (head_with_bias, "a bias")]
)
def test_an_unsupported_model_is_refused_at_load(make: Callable[[], Any], sentence: str, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(LlamaRecError, match=sentence):
        load_base_model(tmp_path, torch.device("cpu"))


def test_a_model_that_is_not_causal_is_refused() -> None:
    model = tiny_bert()
    model.get_output_embeddings().bias = None
    with pytest.raises(LlamaRecError, match="not causal"):
        check_head(model)


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_unknown_operation_around_the_head_is_refused(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    check_head(model)
    if where == "before":
        model.lm_head.register_forward_pre_hook(lambda _, inputs: (inputs[0] / 3,))
    else:
        forward = model.forward

        def clamped(*arguments: Any, **options: Any) -> Any:
            output = forward(*arguments, **options)
            output.logits = output.logits.clamp(-50, 50)
            return output

        monkeypatch.setattr(model, "forward", clamped)
    with pytest.raises(LlamaRecError, match=f"{where} the output head"):
        check_head(model)
