import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llamarec_cli.evaluation.metrics import ndcg_at
from llamarec_cli.language_model.adapters import adapter_parameters, add_adapter, merge_adapter, save_adapter
from llamarec_cli.language_model.base_models import load_base_model
from llamarec_cli.names import Quantization
from llamarec_cli.progress import Progress
from llamarec_cli.ranking.examples import TrainingExamples
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.config import RankerConfig
from llamarec_cli.strategies.verbalizer.engine import RankingEngine
from llamarec_cli.strategies.verbalizer.finetuning import RankerState, RunOptions, train_adapter
from llamarec_cli.strategies.verbalizer.loss import answer_loss, encode_example
from llamarec_cli.strategies.verbalizer.validation import RankerValidation, ValidationSet, expected_ndcg_of_chance

CPU = torch.device("cpu")
CONFIG = RankerConfig(
    batch_size=4,
    checkpointing=False,
    warmup_steps=2,
    learning_rate=1e-2,
    max_examples=24,
    validate_every=2,
    validation_users=6,
    seed=3,
)


def validation_of(examples: TrainingExamples) -> ValidationSet:
    return ValidationSet([examples[index] for index in range(100, 110)])


@pytest.mark.parametrize("quantization", [Quantization.NONE, Quantization.NF4])
def test_after_an_evaluation_every_adapter_parameter_gets_a_gradient(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples, quantization: Quantization
) -> None:
    adapted = add_adapter(load_base_model(tiny_base_folder, CPU, quantization), rank=8, alpha=32, dropout=0.05)
    model, parameters = adapted.get_base_model(), adapter_parameters(adapted)
    # B of a fresh adapter is zero, and would hide A's gradient.
    with torch.no_grad():
        for name, parameter in parameters.items():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    adapted.eval()
    RankingEngine(model, encoder).rank([1, 2, 3], [4, 5, 6])
    adapted.train()
    answer_loss(model, encoder, [encode_example(encoder, examples[0])]).backward()
    assert len(parameters) == 8
    for name, parameter in parameters.items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("quantization", "checkpointing"), [(Quantization.NONE, False), (Quantization.NF4, True)])
def test_the_loss_falls(
    tiny_base_folder: Path,
    encoder: PromptEncoder,
    examples: TrainingExamples,
    quantization: Quantization,
    checkpointing: bool,
) -> None:
    config = dataclasses.replace(
        CONFIG, max_examples=80, validate_every=4, learning_rate=5e-2, checkpointing=checkpointing
    )
    model = load_base_model(tiny_base_folder, CPU, quantization)
    _, state = train_adapter(model, encoder, examples, validation_of(examples), config)
    assert [validation.step for validation in state.validations] == [0, 4, 8, 12, 16, 20]
    # An adapter on two attention maps of a random model can do no better than learn which answers are frequent.
    assert state.validations[-1].loss < state.validations[1].loss - 0.2


def test_validation_users_are_shuffled_the_same_way_each_time(examples: TrainingExamples) -> None:
    users = validation_of(examples)
    once, again = users.shuffled(7), users.shuffled(7)
    for original, one, other in zip(users.examples, once.examples, again.examples, strict=True):
        assert one.candidates.tolist() == other.candidates.tolist()
        assert sorted(one.candidates) == sorted(original.candidates)
        assert one.candidates[one.answer] == original.candidates[original.answer]
    assert any(
        one.candidates.tolist() != original.candidates.tolist()
        for original, one in zip(users.examples, once.examples, strict=True)
    )


def test_chance_is_what_random_orders_have_on_average(examples: TrainingExamples) -> None:
    users = validation_of(examples)
    generator = np.random.default_rng(0)
    ranks = generator.integers(1, 6, size=100_000)
    assert expected_ndcg_of_chance(users) == pytest.approx(ndcg_at(ranks, 10), rel=0.01)


def test_progress_tells_the_pace_and_the_time_left(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples
) -> None:
    model, reports = load_base_model(tiny_base_folder, CPU), list[Progress]()
    config = dataclasses.replace(CONFIG, max_examples=8)
    options = RunOptions(max_minutes=60, report=reports.append)
    train_adapter(model, encoder, examples, validation_of(examples), config, options)
    first, second, last = (one for one in reports if one.stage == "train ranker")
    assert re.fullmatch(r"loss \d+\.\d{3}, \d+\.\d\d s an example, [\d,]+ tokens a second", first.detail)
    assert first.seconds_left is not None
    assert second.seconds_left is not None
    assert 0 < second.seconds_left < first.seconds_left < 3600
    assert last.done == last.total == 2


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_interrupted_and_resumed_it_ends_like_an_uninterrupted_run(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples, device: str
) -> None:
    def run(**options: Any):  # type: ignore[no-untyped-def]
        model = load_base_model(tiny_base_folder, torch.device(device))
        return train_adapter(model, encoder, examples, validation_of(examples), CONFIG, RunOptions(**options))

    whole, whole_state = run()
    saved: list[RankerState] = []

    def die_at_third(state: RankerState) -> None:
        tensors = {name: tensor.clone() for name, tensor in state.tensors.items()}
        saved.append(RankerState.restore(RankerValidation, tensors, state.numbers()))
        if len(saved) == 3:
            raise _KilledError

    with pytest.raises(_KilledError):
        run(save_state=die_at_third)
    resumed, resumed_state = run(resume=saved[-1])
    assert resumed_state.validations == whole_state.validations
    expected = adapter_parameters(whole)
    for name, parameter in adapter_parameters(resumed).items():
        assert torch.equal(parameter, expected[name]), name


def test_a_saved_adapter_merges_to_the_same_probabilities(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples, tmp_path: Path
) -> None:
    model = load_base_model(tiny_base_folder, CPU).float()
    adapted, _ = train_adapter(model, encoder, examples, validation_of(examples), CONFIG)
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_adapter(adapted, folder, "tiny")
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert str(tiny_base_folder) not in (folder / "adapter_config.json").read_text()
    expected = RankingEngine(adapted.get_base_model(), encoder).rank([1, 2], [3, 4, 5])
    merged = merge_adapter(load_base_model(tiny_base_folder, CPU).float(), folder)
    assert np.allclose(RankingEngine(merged, encoder).rank([1, 2], [3, 4, 5]), expected, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("checkpointing", [False, True])
def test_nf4_trains_on_cuda(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples, checkpointing: bool
) -> None:
    model = load_base_model(tiny_base_folder, torch.device("cuda"), Quantization.NF4)
    config = dataclasses.replace(
        CONFIG, max_examples=80, validate_every=4, learning_rate=5e-2, checkpointing=checkpointing
    )
    _, state = train_adapter(model, encoder, examples, validation_of(examples), config)
    assert state.validations[-1].loss < state.validations[1].loss - 0.2
