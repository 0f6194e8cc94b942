"""Entries of a history that may mean two items: both are told, in every form of the answer."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llamarec_cli import LlamaRec
from llamarec_cli.cli.app import app
from llamarec_cli.store.registry import Store

CONFIG = (
    "[lrurec]\nwidth = 16\nblocks = 1\nmax_length = 12\n[training]\nbatch_size = 16\nepochs = 2\nvalidate_every = 20\n"
)
ITEMS = 30


def run(*arguments: str, stdin: str | None = None, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)
    assert result.exit_code == code, result.stderr
    return result


@pytest.fixture
def shop(store_with_base: Store, tmp_path: Path) -> Store:
    """A shop in which two items have one title, and one has the id of another for its title."""
    titles = {item: f"Thing {item:02}" for item in range(ITEMS)} | {12: "Twin Peaks", 25: "Twin Peaks", 9: "7"}
    (tmp_path / "log.csv").write_text(
        "user,item,time,title\n"
        + "".join(
            f"u{user},{(user + step) % ITEMS},{step},{titles[(user + step) % ITEMS]}\n"
            for user in range(30)
            for step in range(8)
        )
    )
    (tmp_path / "c.toml").write_text(CONFIG)
    run("prepare", "shop", "--interactions", str(tmp_path / "log.csv"))
    run(
        "train",
        "ranker",
        "--dataset",
        "shop",
        "--retriever",
        "shop/lrurec",
        "--strategy",
        "likelihood",
        "--config",
        str(tmp_path / "c.toml"),
    )
    return store_with_base


def test_both_readings_are_told_and_either_can_be_meant(shop: Store, tmp_path: Path) -> None:
    ask = ("recommend", "--dataset", "shop", "--history", "-", "--top", "20")
    result = run(*ask, "--json", stdin='["Twin Peaks", "7", 7, {"id": "25"}]')
    found = json.loads(result.stdout)
    assert found["history_ids"] == [*found["history_ids"][:1], "9", "7", "25"]
    assert [one["given"] for one in found["ambiguous"]] == ["Twin Peaks", "7"]
    assert {"id": "7", "title": "Thing 07"} in found["ambiguous"][1]["also"]
    assert 'write {"id": "7"}' in result.stderr
    assert all(set(item) == {"rank", "id", "title", "probability"} for item in found["items"])
    said = run(*ask, "--json", stdin='[{"title": "7"}, {"id": 12}, 25, "Thing 03"]')
    assert (json.loads(said.stdout)["ambiguous"], said.stderr.count("Warning")) == ([], 0)

    # All but five items, given by number: none of them comes back.
    everything = json.dumps(list(range(ITEMS - 5)))
    left = json.loads(run(*ask, "--json", stdin=everything).stdout)
    assert {item["id"] for item in left["items"]} == {"25", "26", "27", "28", "29"}
    # One of the five is the second "Twin Peaks", so the table tells ids.
    assert " id " in run(*ask, stdin=everything).stdout
    short = json.dumps([item for item in range(ITEMS) if item not in (3, 4, 5)])
    assert " id " not in run(*ask, stdin=short).stdout
    assert " id " in run(*ask, "--ids", stdin=short).stdout

    (tmp_path / "users.jsonl").write_text('["Twin Peaks"]\n[25]\n')
    many = ("recommend", "--dataset", "shop", "--input", str(tmp_path / "users.jsonl"), "--output")
    run(*many, str(tmp_path / "recs.jsonl"))
    records = [json.loads(line) for line in (tmp_path / "recs.jsonl").read_text().splitlines()]
    assert [len(record.get("ambiguous", ())) for record in records] == [1, 0]
    run(*many, str(tmp_path / "recs.csv"))
    with (tmp_path / "recs.csv").open(newline="") as stream:
        told = [row["ambiguous"] for row in csv.DictReader(stream)]
    assert (json.loads(told[0])[0]["given"], told[1]) == ("Twin Peaks", "")

    rec = LlamaRec.load("shop", home=shop.home)
    with pytest.warns(UserWarning, match="'Twin Peaks' is taken as Twin Peaks"):
        rec.recommend(["Twin Peaks"])
    assert rec.recommend([7]) == rec.recommend([{"id": "7"}]) != rec.recommend([{"title": "7"}])


def test_many_unknown_entries_are_counted(shop: Store) -> None:
    given = json.dumps([3, *(f"no such thing {number}" for number in range(200))])
    result = run("recommend", "--dataset", "shop", "--history", "-", "--json", stdin=given)
    assert len(json.loads(result.stdout)["unknown"]) == 200
    assert result.stderr.count("is not known") == 10
    assert "190 more are not known" in result.stderr
    none = run("recommend", "--dataset", "shop", "--history", "-", stdin="[1" + "0" * 30 + "]", code=1)
    assert "Item ids of this one are such as 0, 1, 10" in none.stderr
    long = run("recommend", "--dataset", "shop", "--history", "-", stdin=json.dumps(["x " * 50_000]), code=1)
    assert "Entry 1 of The standard input is longer than 10,000 characters" in long.stderr
