from pathlib import Path

import pytest

from llamarec_cli.cli.train_ranker import _show, _strategy_for
from llamarec_cli.errors import UsageError
from llamarec_cli.ranking.fusion import FittedFusion, Fusion, FusionGroups
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact


def show(gains: dict[str, float | None], capsys: pytest.CaptureFixture[str]) -> tuple[list[list[str]], str, str]:
    """Show a ranker by likelihood in which the retriever's order ranks; return the table's cells, stdout and stderr."""
    fitted = {"retriever": FittedFusion(Fusion({"retriever": 1.0}), 0.5, 0.0, 0.0)}
    fitted |= {name: FittedFusion(Fusion({name: 1.0}), 0.52, 0.02, 0.01, gain, gain) for name, gain in gains.items()}
    groups = FusionGroups(fitted, "retriever", 100, "likelihood", 20, "it costs less")
    metrics = {"fusion": groups.as_json(), "minutes": 1.0, "device": "cpu"}
    manifest = Manifest("games/tiny", Kind.RANKER, config={}, parents={}, metrics=metrics, command="test")
    _show(Artefact(Path("/nowhere"), manifest), as_json=False)
    printed = capsys.readouterr()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.out.splitlines() if "│" in line]
    return rows, printed.out, printed.err


def test_the_table_shows_both_figures_and_the_line_below_it_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    rows, out, _ = show({"likelihood": None, "retriever + signals": 0.03}, capsys)
    assert rows == [
        ["retriever (ranks)", "0.5000", "+0.0%", "± 0.0%", "-"],
        ["likelihood", "0.5200", "+4.0%", "± 3.9%", "-"],
        ["retriever + signals", "0.5200", "+4.0%", "± 3.9%", "+0.0300 ± 0.0300"],
    ]
    assert "retriever ranks: it costs less." in out


def test_a_ranker_without_signals_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert "There are no signals beside the first stage's score" in show({}, capsys)[2]


def test_an_option_of_training_asks_for_a_strategy_that_is_trained() -> None:
    assert _strategy_for(None, []) is None
    assert _strategy_for(None, ["loss"]) == "verbalizer"
    assert _strategy_for("verbalizer", ["loss"]) == "verbalizer"
    assert _strategy_for("likelihood", []) == "likelihood"
    for strategy in ("likelihood", "signals"):
        with pytest.raises(UsageError, match=f"--loss is about training .* --strategy {strategy} does not use"):
            _strategy_for(strategy, ["loss"])
    # An unknown name is reported by the pipeline, which knows the nearest.
    assert _strategy_for("likelyhood", ["loss"]) == "likelyhood"
