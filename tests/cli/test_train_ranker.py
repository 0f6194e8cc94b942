from pathlib import Path

import pytest

from llamarec_cli.cli.train_ranker import _show, _strategy_for
from llamarec_cli.errors import UsageError
from llamarec_cli.ranking.fusion import FittedFusion, Fusion, FusionGroups
from llamarec_cli.store.manifest import Kind, Manifest
from llamarec_cli.store.registry import Artefact


def show(users: int, gains: dict[str, float], capsys: pytest.CaptureFixture[str]) -> tuple[list[list[str]], str]:
    """Show a ranker by likelihood in which the retriever's order ranks; return the cells of the table, and stderr."""
    fitted = {"retriever": FittedFusion(Fusion({"retriever": 1.0}), 0.5, 0.0, 0.0)}
    fitted |= {name: FittedFusion(Fusion({name: 1.0}), 0.5 + gain, gain, 0.01) for name, gain in gains.items()}
    metrics = {
        "fusion": FusionGroups(fitted, "retriever", users, "likelihood", 20).as_json(),
        "minutes": 1.0,
        "device": "cpu",
    }
    manifest = Manifest("games/tiny", Kind.RANKER, config={}, parents={}, metrics=metrics, command="test")
    _show(Artefact(Path("/nowhere"), manifest), as_json=False)
    printed = capsys.readouterr()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.out.splitlines() if "│" in line]
    return rows, printed.err


def test_the_table_shows_the_threshold_and_the_warning_what_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    gains = {"likelihood": -0.1, "retriever + signals": 0.02, "retriever + likelihood": 0.01, "all": 0.022}
    rows, said = show(100, gains, capsys)
    assert rows == [
        ["retriever (ranks)", "0.5000", "+0.0%", "± 0.0%", "-"],
        ["likelihood", "0.4000", "-20.0%", "± 3.9%", "-"],
        ["retriever + signals", "0.5200", "+4.0%", "± 3.9%", "+4.8%"],
        ["retriever + likelihood", "0.5100", "+2.0%", "± 3.9%", "+4.8%"],
        ["all", "0.5220", "+4.4%", "± 3.9%", "+4.8%"],
    ]
    assert said == (
        "Warning: No group of signals improved validation NDCG@10 by more than the threshold (2.4 standard errors), so "
        "recommendations use the first stage's order. Tried: retriever + signals, retriever + likelihood, all.\n"
    )


def test_the_warning_where_nothing_could_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert "19 validation users are too few to choose between" in show(19, {"retriever + signals": 0.1}, capsys)[1]
    assert "There are no signals beside the first stage's score" in show(100, {}, capsys)[1]


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
