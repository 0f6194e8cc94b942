"""The engine gives the probabilities of transformers' own forward pass, in every precision."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import ranking_examples, tiny_llama
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from llamarec_cli.language_model.adapters import add_adapter, save_adapter
from llamarec_cli.language_model.base_models import load_tokenizer
from llamarec_cli.language_model.inference import load_for_ranking
from llamarec_cli.names import Precision
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.strategies.prompt import render_prompt
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.engine import RankingEngine

TITLES = ["", *(f"Film {number}" for number in range(1, 31))]
CPU = torch.device("cpu")


def plain_model(folder: Path, precision: Precision) -> Any:
    """The model as transformers alone loads it, with its own attention."""
    if precision is Precision.NF4:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, device_map={"": "cpu"}, quantization_config=quantization
        )
    dtypes = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16, Precision.FP32: torch.float32}
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtypes[precision])


@torch.no_grad()
def plain_probabilities(model: Any, tokenizer: Any, example: RankingExample) -> np.ndarray:
    """The softmax over the letters, from full logits of the whole prompt."""
    letters = "ABCDEFGHIJ"[: len(example.candidates)]
    prompt = render_prompt([TITLES[item] for item in example.history], [TITLES[item] for item in example.candidates])
    logits = model(torch.tensor([tokenizer.encode(prompt)])).logits[0, -1].float()
    return torch.softmax(logits[[tokenizer.encode(letter)[0] for letter in letters]], -1).numpy()


def examples() -> list[RankingExample]:
    return ranking_examples((1, 5), (12, 3), (20, 10))


@pytest.mark.parametrize("precision", list(Precision))
def test_the_engine_equals_transformers(tiny_base_folder: Path, precision: Precision) -> None:
    tokenizer = load_tokenizer(tiny_base_folder)
    plain = plain_model(tiny_base_folder, precision)
    engine = RankingEngine(load_for_ranking(tiny_base_folder, CPU, precision), PromptEncoder(tokenizer, TITLES))
    expected = [plain_probabilities(plain, tokenizer, one) for one in examples()]
    # The letters must not be equally likely, or any computation would pass.
    assert max(abs(values - 1 / len(values)).max() for values in expected) > 0.02
    tolerance = 1e-4 if precision is Precision.FP32 else 0.01
    fresh, known = engine.rank_many(examples()), engine.rank_many(examples())
    for found in (fresh, known, engine.rank_in_batches(examples()), engine.rank_in_batches(examples(), tokens=1)):
        for index, ranked in found:
            assert np.allclose(np.exp(ranked), expected[index], atol=tolerance), precision


@pytest.mark.parametrize("precision", list(Precision))
def test_the_engine_equals_transformers_with_an_adapter(
    tiny_base_folder: Path, tmp_path: Path, precision: Precision
) -> None:
    adapted = add_adapter(tiny_llama(), rank=4, alpha=16, dropout=0.0)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
    save_adapter(adapted, tmp_path, "tiny")
    tokenizer = load_tokenizer(tiny_base_folder)
    from peft import PeftModel

    plain = PeftModel.from_pretrained(plain_model(tiny_base_folder, precision), tmp_path).eval()
    model = load_for_ranking(tiny_base_folder, CPU, precision, tmp_path)
    unadapted = load_for_ranking(tiny_base_folder, CPU, precision)
    encoder = PromptEncoder(tokenizer, TITLES)
    moved = 0.0
    for one in examples():
        found, expected = (
            np.exp(RankingEngine(model, encoder).rank(one.history.tolist(), one.candidates.tolist())),
            plain_probabilities(plain, tokenizer, one),
        )
        assert np.allclose(found, expected, atol=1e-4 if precision is Precision.FP32 else 0.01), precision
        before = np.exp(RankingEngine(unadapted, encoder).rank(one.history.tolist(), one.candidates.tolist()))
        moved = max(moved, float(abs(before - found).max()))
    assert moved > 0.02  # the adapter must have an effect
