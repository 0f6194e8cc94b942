"""Loading both stages: what is refused when the ranker is missing."""

from pathlib import Path

import pytest

from llamarec_cli.artefacts.context import Context
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.pipeline.both_stages import load_both_stages
from llamarec_cli.pipeline.prepare import prepare_dataset


def test_a_missing_ranker_is_refused(context: Context, raw_folder: Path) -> None:
    prepare_dataset(context, "ml-100k", raw_folder)
    with pytest.raises(LlamaRecError, match="There is no ranker ml-100k/smollm2-135m yet") as raised:
        load_both_stages(context, "ml-100k", "ml-100k/smollm2-135m")
    assert raised.value.hint == "llamarec train ranker --dataset ml-100k"
    with pytest.raises(LlamaRecError, match="The store holds no ml-100k/other"):
        load_both_stages(context, "ml-100k", "ml-100k/other")


def test_an_unknown_data_set_is_refused_first(context: Context) -> None:
    with pytest.raises(UsageError, match="did you mean games"):
        load_both_stages(context, "gmaes", "gmaes/smollm2-135m")
