import dataclasses

import numpy as np
import pytest
import torch

from llamarec_cli.data.dataset import PreparedData
from llamarec_cli.data.splits import HeldOut, Sequences, Split, held_out, training_sequences
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.retrieval.lrurec import LRURec, LRURecConfig
from llamarec_cli.retrieval.models import retriever_row
from llamarec_cli.retrieval.training import RetrieverState, TrainingConfig, Validation, train_retriever

MODEL = LRURecConfig(width=16, blocks=1, dropout=0.1, max_length=12)
CONFIG = TrainingConfig(batch_size=16, epochs=20, validate_every=20, learning_rate=1e-2, seed=3)


def train(data: PreparedData, config: TrainingConfig = CONFIG, **options) -> tuple[LRURec, RetrieverState]:  # type: ignore[no-untyped-def]
    return train_retriever(
        training_sequences(data),
        held_out(data, Split.VALIDATION),
        data.item_count,
        retriever_row("lrurec"),
        MODEL,
        config,
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


def test_it_stops_early_and_returns_the_best(ring: PreparedData) -> None:
    _, state = train(ring, dataclasses.replace(CONFIG, validate_every=5, epochs=500, patience=3))
    recalls = [validation.recall for validation in state.validations]
    assert len(recalls) - 1 - recalls.index(max(recalls)) == 3
    assert len(recalls) < 200


def test_out_of_time_it_stops_at_the_next_validation(ring: PreparedData) -> None:
    _, state = train(ring, max_minutes=0.0)
    assert len(state.validations) == 1
    # With more time it could go on; with no more, it does nothing.
    assert not state.finished
    assert len(train(ring, resume=state, max_minutes=0.0)[1].validations) == 1


def test_a_loss_that_is_not_a_number_is_a_sentence(ring: PreparedData) -> None:
    with pytest.raises(LlamaRecError, match="diverged"):
        train(ring, dataclasses.replace(CONFIG, learning_rate=1e30))


def test_users_too_short_to_train_on_are_a_sentence() -> None:
    sequences = Sequences(np.array([1, 2], dtype=np.int32), np.array([0, 1, 2]))
    cases = HeldOut(np.arange(2), sequences, np.array([3, 3], dtype=np.int32))
    with pytest.raises(LlamaRecError, match="No user has two interactions left"):
        train_retriever(sequences, cases, 3, retriever_row("lrurec"), MODEL, CONFIG, device=torch.device("cpu"))


def test_averaged_weights_resume_too_and_stay_near_the_weights(ring: PreparedData) -> None:
    config = dataclasses.replace(CONFIG, averaging=0.9)
    whole, whole_state = train(ring, config)
    _, half = train(ring, config, max_steps=40)
    assert not half.finished
    resumed, state = train(ring, config, resume=half)
    assert state.validations == whole_state.validations
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    plain, _ = train(ring)
    assert not torch.equal(plain.embedding.weight, whole.embedding.weight)


def test_a_limit_of_steps_stops_at_the_next_validation_and_not_again(ring: PreparedData) -> None:
    _, state = train(ring, max_steps=30)
    assert [validation.step for validation in state.validations] == [20, 40]
    assert not state.finished
    assert len(train(ring, resume=state, max_steps=30)[1].validations) == 2
