"""Arguments that transformers renamed are passed under the name of the installed version, without warnings."""

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fakes import tiny_llama

from llamarec_cli.language_model.base_models import load_base_model
from llamarec_cli.language_model.forward import transformer_of
from llamarec_cli.language_model.prefix_cache import PrefixCache


def by_new_name(self: Any, input_ids: torch.Tensor, cache: Any = None, use_cache: bool = False) -> Any:
    return cache, input_ids


def by_old_name(self: Any, input_ids: torch.Tensor, past_key_values: Any = None, use_cache: bool = False) -> Any:
    return past_key_values, input_ids


@pytest.mark.parametrize("forward", [by_new_name, by_old_name])
def test_the_cache_is_passed_under_the_name_that_the_model_takes(forward: Callable[..., Any]) -> None:
    """`past_key_values` before transformers 5.24, `cache` since; the old name is removed in 5.40."""
    given: list[Any] = []

    def call(self: Any, **named: Any) -> Any:
        kept, ids = self.forward(**named)
        given.append(kept)
        if kept is not None:
            kept.update(torch.zeros(1, 1, ids.shape[1], 4), torch.zeros(1, 1, ids.shape[1], 4), 0)
        return SimpleNamespace(last_hidden_state=torch.zeros(1, ids.shape[1], 4))

    config = SimpleNamespace(model_type="llama")
    transformer = type("Transformer", (), {"config": config, "forward": forward, "__call__": call})()
    cache = PrefixCache(transformer, torch.device("cpu"))
    cache.hidden_states([1, 2, 3, 4], 3)
    assert len(cache.hidden_states([1, 2, 3, 5], 3)) == 1
    assert all(kept is not None for kept in given)
    PrefixCache(transformer, torch.device("cpu"), 0).hidden_states([1, 2, 3, 4], 3)
    assert given[-1] is None


def test_a_deprecated_name_fails_in_this_test_suite() -> None:
    with pytest.raises(FutureWarning, match="past_key_values"):
        tiny_llama().model(torch.tensor([[1, 2]]), past_key_values=None)


def test_loading_and_running_a_model_raises_no_warning(tiny_base_folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_base_model(tiny_base_folder, torch.device("cpu"))
        cache = PrefixCache(transformer_of(model), model.device)
        for _ in range(2):
            cache.hidden_states([1, 2, 3, 4], 3)
