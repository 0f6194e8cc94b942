import subprocess
import sys

import pytest

from llamarec_cli.errors import UnknownNameError
from llamarec_cli.names import Precision, Quantization, parse_precision, parse_quantization


def test_names_are_parsed_and_none_stays_none() -> None:
    assert [parse_precision(name) for name in ("bf16", "nf4", None)] == [Precision.BF16, Precision.NF4, None]
    assert [parse_quantization(name) for name in ("nf4", "none", None)] == [Quantization.NF4, Quantization.NONE, None]


def test_an_unknown_name_is_refused_with_all_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"no precision called bf17: did you mean bf16\?") as caught:
        parse_precision("bf17")
    assert caught.value.hint == "one of bf16, fp16, fp32, nf4"
    with pytest.raises(UnknownNameError, match="no quantisation called int8"):
        parse_quantization("int8")


@pytest.mark.parametrize("module", ["names", "language_model.catalogue"])
def test_importing_names_does_not_import_torch(module: str) -> None:
    code = f"import sys, llamarec_cli.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
