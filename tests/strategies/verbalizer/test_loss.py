from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.adapters import adapter_parameters, add_adapter
from llamarec_cli.language_model.base_models import load_base_model
from llamarec_cli.language_model.forward import group_by_length, head_of
from llamarec_cli.ranking.examples import TrainingExamples
from llamarec_cli.strategies.prompt_encoder import PromptEncoder
from llamarec_cli.strategies.verbalizer.engine import RankingEngine
from llamarec_cli.strategies.verbalizer.loss import answer_loss, encode_example

CPU = torch.device("cpu")


def test_the_loss_is_that_of_letter_and_end_of_sequence_with_full_logits(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples
) -> None:
    model = load_base_model(tiny_base_folder, CPU).float()
    batch = [examples[index] for index in range(3)]
    prompts = [encode_example(encoder, example) for example in batch]
    by_hand = 0.0
    for example in batch:
        prompt = encoder.encode(example.history.tolist(), example.candidates.tolist())
        letter = encoder.label_ids[example.answer]
        with torch.no_grad():
            log_probabilities = torch.log_softmax(model(torch.tensor([[*prompt, letter]])).logits[0], -1)
        by_hand -= float(log_probabilities[-2, letter] + log_probabilities[-1, encoder.tokenizer.eos_token_id]) / 2
    # Together, and one at a time.
    assert float(answer_loss(model, encoder, prompts)) == pytest.approx(by_hand, rel=1e-4)
    assert sum(float(answer_loss(model, encoder, [one])) for one in prompts) == pytest.approx(by_hand, rel=1e-4)


def test_the_loss_over_letters_alone_is_what_the_engine_ranks_by(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples
) -> None:
    model = load_base_model(tiny_base_folder, CPU).float()
    batch = [examples[index] for index in range(3)]
    engine = RankingEngine(model, encoder)
    expected = -sum(engine.rank(one.history.tolist(), one.candidates.tolist())[one.answer] for one in batch)
    prompts = [encode_example(encoder, example) for example in batch]
    assert float(answer_loss(model, encoder, prompts, letters_alone=True)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("letters_alone", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_one_prompt_at_a_time(
    tiny_base_folder: Path, encoder: PromptEncoder, examples: TrainingExamples, letters_alone: bool, checkpointing: bool
) -> None:
    prompts = [encode_example(encoder, examples[index]) for index in range(6)]
    assert len({len(prompt.ids) for prompt in prompts}) > 1

    def gradients(tokens: int, checkpointing: bool) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        adapted = add_adapter(load_base_model(tiny_base_folder, CPU).float(), rank=8, alpha=32, dropout=0.0).train()
        model, parameters = adapted.get_base_model(), adapter_parameters(adapted)
        if checkpointing:
            model.activation_checkpointing_enable()
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.normal_(std=0.02)
        groups = group_by_length([len(prompt.ids) for prompt in prompts], tokens)
        for group in groups:
            some = [prompts[index] for index in group]
            answer_loss(model, encoder, some, letters_alone=letters_alone).backward()
        return {name: parameter.grad for name, parameter in parameters.items() if parameter.grad is not None}

    one_by_one = gradients(1, checkpointing=False)
    assert len(one_by_one) == 8
    largest = max(len(prompt.ids) for prompt in prompts)
    for name, gradient in gradients(4 * largest, checkpointing).items():
        assert torch.allclose(gradient, one_by_one[name], rtol=1e-3, atol=1e-6), name


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
    prompts = [encode_example(encoder, examples[index]) for index in range(2)]
    with VocabularyRows(model) as watched:
        answer_loss(model, encoder, prompts, letters_alone=letters_alone).backward()
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


def test_a_tokenizer_that_ends_no_sequence_is_a_sentence(
    encoder: PromptEncoder, examples: TrainingExamples, tiny_base_folder: Path
) -> None:
    encoder.tokenizer.eos_token = None
    model = load_base_model(tiny_base_folder, CPU).float()
    prompts = [encode_example(encoder, one) for one in examples.batch(range(1))]
    with pytest.raises(LlamaRecError, match="no token that ends"):
        answer_loss(model, encoder, prompts)
    assert float(answer_loss(model, encoder, prompts, letters_alone=True)) > 0
