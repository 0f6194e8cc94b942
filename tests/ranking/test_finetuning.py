import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import training_sequences
from llamarec_cli.evaluation.metrics import ndcg_at
from llamarec_cli.ranking.adapters import adapter_parameters, add_adapter, merge_adapter, save_adapter
from llamarec_cli.ranking.base_models import Quantization, load_base_model, load_tokenizer
from llamarec_cli.ranking.engine import PromptEncoder, RankingEngine, head_of
from llamarec_cli.ranking.examples import TrainingExamples
from llamarec_cli.ranking.finetuning import RankerConfig, RankerState, answer_loss, train_ranker
from llamarec_cli.ranking.validation import RankerValidation, ValidationSet, expected_ndcg_of_chance

CPU = torch.device("cpu")
CONFIG = RankerConfig(
    batch_size=4, warmup_steps=2, learning_rate=1e-2, max_examples=24, validate_every=2, validation_users=6, seed=3
)


@pytest.fixture
def encoder(ring: PreparedData, tiny_base_folder: Path) -> PromptEncoder:
    return PromptEncoder(load_tokenizer(tiny_base_folder), ring.titles)


@pytest.fixture
def examples(ring: PreparedData) -> TrainingExamples:
    return TrainingExamples(training_sequences(ring), ring.item_count, k=5, seed=1)


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
    answer_loss(model, encoder, [examples[0]]).backward()
    assert len(parameters) == 8
    for name, parameter in parameters.items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("quantization", [Quantization.NONE, Quantization.NF4])
def test_the_loss_falls(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples, quantization: Quantization
) -> None:
    config = dataclasses.replace(CONFIG, max_examples=80, validate_every=4, learning_rate=5e-2)
    model = load_base_model(tiny_base_folder, CPU, quantization)
    _, state = train_ranker(model, encoder, examples, validation_of(examples), config, prompts_a_pass=4)
    assert [validation.step for validation in state.validations] == [0, 4, 8, 12, 16, 20]
    # An adapter on two attention maps of a random model can do no better than learn which answers are frequent.
    assert state.validations[-1].loss < state.validations[1].loss - 0.2


def test_the_loss_is_that_of_letter_and_end_of_sequence_with_full_logits(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples
) -> None:
    model = load_base_model(tiny_base_folder, CPU).float()
    batch = [examples[index] for index in range(3)]
    by_hand = 0.0
    for example in batch:
        prompt = encoder.encode(example.history.tolist(), example.candidates.tolist())
        letter = encoder.label_ids[example.answer]
        with torch.no_grad():
            log_probabilities = torch.log_softmax(model(torch.tensor([[*prompt, letter]])).logits[0], -1)
        by_hand -= float(log_probabilities[-2, letter] + log_probabilities[-1, encoder.tokenizer.eos_token_id]) / 2
    # Together, with padding, and one at a time.
    assert float(answer_loss(model, encoder, batch)) == pytest.approx(by_hand, rel=1e-4)
    assert sum(float(answer_loss(model, encoder, [one])) for one in batch) == pytest.approx(by_hand, rel=1e-4)


def test_the_loss_over_letters_alone_is_what_the_engine_ranks_by(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples
) -> None:
    model = load_base_model(tiny_base_folder, CPU).float()
    batch = [examples[index] for index in range(3)]
    engine = RankingEngine(model, encoder)
    expected = -sum(engine.rank(one.history.tolist(), one.candidates.tolist())[one.answer] for one in batch)
    assert float(answer_loss(model, encoder, batch, letters_alone=True)) == pytest.approx(expected, rel=1e-4)


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


class VocabularyRows(TorchDispatchMode):
    """Records, for every result of an operation that is as wide as the vocabulary, how many rows it has.

    Whatever produced it, so no detour round the output head goes unseen; the head itself, however it lies, is left out.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.vocabulary, width = head_of(model).shape
        self.head = {(self.vocabulary, width), (width, self.vocabulary)}
        self.rows: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, torch.Tensor) and self.vocabulary in one.shape and one.shape not in self.head:
                self.rows.add(one.numel() // self.vocabulary)
        return result


@pytest.mark.parametrize(("letters_alone", "rows"), [(False, {4}), (True, set())])
def test_training_never_makes_full_logits_over_the_prompt(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples, letters_alone: bool, rows: set[int]
) -> None:
    adapted = add_adapter(load_base_model(tiny_base_folder, CPU).float(), rank=8, alpha=32, dropout=0.05).train()
    model = adapted.get_base_model()
    with VocabularyRows(model) as watched:
        answer_loss(model, encoder, [examples[0], examples[1]], letters_alone=letters_alone).backward()
    # Two positions of each of two examples; with letters alone not one row is as wide as the vocabulary.
    assert watched.rows == rows


def test_ranking_never_makes_full_logits_over_the_prompt(tiny_base_folder: Path, encoder: PromptEncoder) -> None:
    model = load_base_model(tiny_base_folder, CPU).float()
    engine = RankingEngine(model, encoder)
    with VocabularyRows(model) as watched:
        engine.rank([1, 2, 3], [4, 5, 6])
    assert watched.rows == set()
    with VocabularyRows(model) as watched:
        engine.rank_with_mass([1, 2, 3], [4, 5, 6])
    assert watched.rows == {1}
    with VocabularyRows(model) as watched:
        model(torch.tensor([encoder.encode([1, 2, 3], [4, 5, 6])]))
    assert max(watched.rows) > 100, "the plain path would be noticed"


class _KilledError(Exception):
    pass


def test_interrupted_and_resumed_it_ends_like_an_uninterrupted_run(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples
) -> None:
    def run(**options):  # type: ignore[no-untyped-def]
        model = load_base_model(tiny_base_folder, CPU)
        return train_ranker(model, encoder, examples, validation_of(examples), CONFIG, prompts_a_pass=1, **options)

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
    adapted, _ = train_ranker(model, encoder, examples, validation_of(examples), CONFIG, prompts_a_pass=4)
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_adapter(adapted, folder, "tiny")
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert str(tiny_base_folder) not in (folder / "adapter_config.json").read_text()
    expected = RankingEngine(adapted.get_base_model(), encoder).rank([1, 2], [3, 4, 5])
    merged = merge_adapter(load_base_model(tiny_base_folder, CPU).float(), folder)
    assert np.allclose(RankingEngine(merged, encoder).rank([1, 2], [3, 4, 5]), expected, atol=1e-4)


@pytest.mark.gpu
def test_nf4_trains_on_cuda(tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples) -> None:
    model = load_base_model(tiny_base_folder, torch.device("cuda"), Quantization.NF4)
    config = dataclasses.replace(CONFIG, max_examples=80, validate_every=4, learning_rate=5e-2)
    _, state = train_ranker(model, encoder, examples, validation_of(examples), config, prompts_a_pass=4)
    assert state.validations[-1].loss < state.validations[1].loss - 0.2
