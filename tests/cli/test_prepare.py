"""`prepare` of one's own data: columns used, rows dropped and why."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llamarec_cli.cli.app import app


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.stderr
    return result


@pytest.fixture
def shop(home: Path, tmp_path: Path) -> tuple[str, ...]:
    rows = [f"c{user};{(user + step) % 20};{1 + step}/12/24 10:00" for user in range(30) for step in range(8)]
    (tmp_path / "log.csv").write_text("customer;item_id;when\n" + "\n".join([*rows, *rows[:80]]) + "\nNaN;1;\n")
    items = [f"{item};Thing {item}" for item in range(19)]
    (tmp_path / "items.csv").write_text("code;name\n" + "\n".join(items) + "\n19;NULL\n")
    return (
        *("prepare", "shop", "--interactions", str(tmp_path / "log.csv"), "--items", str(tmp_path / "items.csv")),
        *("--time-column", "when"),
    )


def test_each_hint_leads_to_the_next_step(shop: tuple[str, ...]) -> None:
    refused = run(*shop, code=2)
    assert "Name it with --items-id-column" in refused.stderr
    shop = (*shop, "--items-id-column", "code")
    refused = run(*shop, code=1)
    assert "line 2: when is not a time" in refused.stderr
    assert "--time-format" in refused.stderr
    shop = (*shop, "--time-format", "%d/%m/%y %H:%M")
    result = run(*shop)
    for said in (
        "Column of user: customer, such as c0.",
        "Column of item in the items: code, such as 0.",
        "Column of title: name, such as Thing 0.",
        "separated by semicolons",
        "Times are read as %d/%m/%y %H:%M.",
        "Invalid row: line 322: no customer, when is not a time",
        "With --repeats keep they are not masked",
        "with --repeats drop, or --deduplicate, only a user's first interaction",
        "items without a title have ids such as 19",
    ):
        assert said in result.stderr
    for row in ("item without a title", "repeated next items", "items without a title"):
        assert row in result.stdout
    assert "Repeats of an item" not in result.stderr
    for chosen in (("--deduplicate",), ("--repeats", "drop"), ("--deduplicate", "--repeats", "drop")):
        report = json.loads(run(*shop, *chosen, "--json", "--replace").stdout)["report"]
        assert (report["repeated"], report["repeated_next_items"], report["untitled_items"]) == (80, 0, 1)
        assert report["column_examples"]["title"] == "Thing 0"
        assert report["repeats"] == "drop"


def test_what_is_meant_by_repeats_is_reported_or_refused(shop: tuple[str, ...]) -> None:
    shop = (*shop, "--items-id-column", "code", "--time-format", "%d/%m/%y %H:%M")
    # Each of the 80 rows that stand twice has the time of its double.
    result = run(*shop, "--repeats", "consecutive")
    assert "Repeats of an item by a user: consecutive." in result.stderr
    assert "repeated interactions" in result.stdout
    assert "are repeated items" not in result.stderr
    result = run(*shop, "--repeats", "keep", "--replace")
    assert "Repeats of an item by a user: keep." in result.stderr
    assert "repeated next items" in result.stdout
    assert "are repeated items" not in result.stderr
    refused = run(*shop, "--deduplicate", "--repeats", "keep", code=2)
    assert "--deduplicate means --repeats drop, not --repeats keep." in refused.stderr
    refused = run(*shop, "--repeats", "consecutve", code=2)
    assert "There is no meaning of repeats called consecutve: did you mean consecutive?" in refused.stderr


def test_options_of_interactions_need_interactions(home: Path) -> None:
    for option, value in (("--time-format", "x"), ("--items-id-column", "x"), ("--repeats", "keep")):
        assert "--interactions is missing" in run("prepare", "games", option, value, code=2).stderr
