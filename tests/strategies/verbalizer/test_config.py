from typing import Any

import pytest

from llamarec_cli.errors import UnknownNameError
from llamarec_cli.strategies.verbalizer.config import PRESETS, RankerConfig


def test_the_paper_s_preset_is_the_default() -> None:
    assert PRESETS["paper"] == RankerConfig()
    paper = PRESETS["paper"]
    assert (paper.lora_rank, paper.lora_alpha, paper.lora_dropout, paper.learning_rate) == (8, 32, 0.05, 1e-4)
    assert (paper.loss, paper.negatives) == ("vocabulary", "random")


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"warmup_steps": -1},
        {"seed": 2**32},
        {"lora_dropout": 1.0},
        {"learning_rate": 0.0},
        {"lora_targets": (1,)},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RankerConfig(**wrong)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="no loss called letter"):
        RankerConfig(loss="letter")
    with pytest.raises(UnknownNameError, match="no kind of negatives called hard"):
        RankerConfig(negatives="hard")
