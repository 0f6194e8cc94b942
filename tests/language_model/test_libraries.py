import logging
import warnings

import pytest

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.libraries import check_loaded_tensors, loading_errors, quiet_libraries


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("first line\nsecond line"), "The model cannot be loaded: first line"),
        (ValueError("\n  a heading:\n  its body\n"), "The model cannot be loaded: a heading: its body"),
        (KeyError("rope"), "The model cannot be loaded: KeyError 'rope'"),
        (RuntimeError(), "The model cannot be loaded: RuntimeError"),
        (ValueError("\x1b[31mred\x1b[0m"), "The model cannot be loaded: [31mred[0m"),
        (ValueError("x" * 300), f"The model cannot be loaded: {'x' * 200}..."),
    ],
)
def test_an_error_of_a_library_becomes_one_short_sentence(error: Exception, sentence: str) -> None:
    with pytest.raises(LlamaRecError) as caught, loading_errors("The model"):
        raise error
    assert caught.value.sentence == sentence
    assert caught.value.__cause__ is error


def test_own_errors_and_interrupts_pass_through() -> None:
    own = LlamaRecError("It is refused.")
    for error in (own, KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, loading_errors("The model"):
            raise error
        assert caught.value is error


def test_a_panic_of_tokenizers_is_an_error_like_any_other() -> None:
    panic = type("PanicException", (BaseException,), {})("no entry found")
    with pytest.raises(LlamaRecError, match="no entry found"), loading_errors("The tokenizer"):
        raise panic


def test_tensors_that_are_missing_or_unexpected_are_an_error() -> None:
    check_loaded_tensors("The model", {"missing_keys": [], "unexpected_keys": set()})
    with pytest.raises(LlamaRecError, match=r"^The model lacks weights: a and 1 more\.$"):
        check_loaded_tensors("The model", {"missing_keys": {"b", "a"}, "unexpected_keys": {"c"}})
    with pytest.raises(LlamaRecError, match=r"another shape than its configuration requires: a\.$"):
        check_loaded_tensors("The model", {"mismatched_keys": [("a", (1,), (2,))]})


def test_advice_of_peft_is_suppressed_and_log_levels_are_restored() -> None:
    from transformers.utils import logging as transformers_logging

    levels = transformers_logging.get_verbosity(), logging.getLogger("bitsandbytes").level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet_libraries():
            warnings.warn("fan_in_fan_out is set to False", UserWarning, stacklevel=1)
            assert logging.getLogger("bitsandbytes").level == logging.ERROR
    assert (transformers_logging.get_verbosity(), logging.getLogger("bitsandbytes").level) == levels
