import dataclasses

import numpy as np
import pytest
import torch

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import HeldOut, Sequences, Split, held_out, training_sequences
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.progress import Progress
from llamarec_cli.retrieval.lrurec import LRURec, LRURecConfig
from llamarec_cli.retrieval.registry import retriever_row
from llamarec_cli.retrieval.trainer import Recipe, RetrieverState, Validation
from llamarec_cli.retrieval.training import Limits, TrainingData, train_retriever
from llamarec_cli.retrieval.training_config import TrainingConfig

MODEL = LRURecConfig(width=16, blocks=1, dropout=0.1, max_length=12)
CONFIG = TrainingConfig(batch_size=16, epochs=20, validate_every=20, learning_rate=1e-2, seed=3)


def train(data: PreparedData, config: TrainingConfig = CONFIG, **options) -> tuple[LRURec, RetrieverState]:  # type: ignore[no-untyped-def]
    return train_retriever(
        TrainingData(training_sequences(data), held_out(data, Split.VALIDATION), data.item_count),
        Recipe(retriever_row("lrurec"), MODEL, config),
        device=torch.device("cpu"),
        **options,
    )


class _KilledError(Exception):
    pass


def test_interrupted_and_resumed_it_ends_like_an_uninterrupted_run(ring: PreparedData) -> None:
    whole, whole_state = train(ring)
    saved: list[tuple[dict[str, torch.Tensor], dict]] = []  # type: ignore[type-arg]

    def die_at_second(state: RetrieverState) -> None:
        saved.append(({name: tensor.clone() for name, tensor in state.tensors.items()}, state.numbers()))
        if len(saved) == 2:
            raise _KilledError

    with pytest.raises(_KilledError):
        train(ring, save_state=die_at_second)
    resumed, resumed_state = train(ring, resume=RetrieverState.restore(Validation, *saved[-1]))
    assert resumed_state.validations == whole_state.validations
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_the_global_generator_is_left_alone(ring: PreparedData) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train(ring, dataclasses.replace(CONFIG, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_early_stopping_returns_the_best_and_ends_the_bar_where_it_stops(ring: PreparedData) -> None:
    reports: list[Progress] = []
    _, state = train(ring, dataclasses.replace(CONFIG, validate_every=5, epochs=500, patience=3), report=reports.append)
    recalls = [validation.recall for validation in state.validations]
    assert len(recalls) - 1 - recalls.index(max(recalls)) == 3
    assert len(recalls) < 200
    step = state.validations[-1].step
    assert reports[-1].note == f"Stopped early at step {step:,} of 2,000: 3 validations without a better Recall@10."
    assert reports[-1].done == reports[-1].total == step


def test_the_end_of_the_last_epoch_has_no_note_and_the_time_limit_has_one(ring: PreparedData) -> None:
    reports: list[Progress] = []
    train(ring, dataclasses.replace(CONFIG, epochs=1), report=reports.append)
    assert reports[-1].note == ""
    assert {report.seconds_left for report in reports} == {None}
    train(ring, limits=Limits(max_minutes=0.0), report=reports.append)
    assert reports[-1].note == "Stopped at step 20 of 80: the time limit is reached (0 min)."
    assert any(report.seconds_left is not None for report in reports)


def test_out_of_time_it_stops_at_the_next_validation(ring: PreparedData) -> None:
    _, state = train(ring, limits=Limits(max_minutes=0.0))
    assert len(state.validations) == 1
    # With more time it could go on; with no more, it does nothing.
    assert not state.finished
    assert len(train(ring, resume=state, limits=Limits(max_minutes=0.0))[1].validations) == 1


def test_a_loss_that_is_not_a_number_is_a_sentence(ring: PreparedData) -> None:
    with pytest.raises(LlamaRecError, match="diverged"):
        train(ring, dataclasses.replace(CONFIG, learning_rate=1e30))


def test_users_too_short_to_train_on_are_a_sentence() -> None:
    sequences = Sequences(np.array([1, 2], dtype=np.int32), np.array([0, 1, 2]))
    cases = HeldOut(np.arange(2), sequences, np.array([3, 3], dtype=np.int32))
    recipe = Recipe(retriever_row("lrurec"), MODEL, CONFIG)
    with pytest.raises(LlamaRecError, match="No user has two interactions left"):
        train_retriever(TrainingData(sequences, cases, 3), recipe, device=torch.device("cpu"))


def test_averaged_weights_resume_too_and_stay_near_the_weights(ring: PreparedData) -> None:
    config = dataclasses.replace(CONFIG, averaging=0.9)
    whole, whole_state = train(ring, config)
    _, half = train(ring, config, limits=Limits(max_steps=40))
    assert not half.finished
    resumed, state = train(ring, config, resume=half)
    assert state.validations == whole_state.validations
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    plain, _ = train(ring)
    assert not torch.equal(plain.embedding.weight, whole.embedding.weight)


def test_a_limit_of_steps_stops_at_the_next_validation_and_not_again(ring: PreparedData) -> None:
    _, state = train(ring, limits=Limits(max_steps=30))
    assert [validation.step for validation in state.validations] == [20, 40]
    assert not state.finished
    assert len(train(ring, resume=state, limits=Limits(max_steps=30))[1].validations) == 2
