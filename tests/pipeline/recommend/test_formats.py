"""Formats of an output: the same lists in JSON lines, CSV and Parquet."""

import csv
import json
from pathlib import Path

import polars as pl
from fake_recommender import run

from llamarec_cli.artefacts.context import Context


def test_csv_and_parquet_give_the_same_lists(context: Context, tmp_path: Path) -> None:
    histories = [[str(user), str(user + 1)] for user in range(5)]
    with (tmp_path / "users.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user", "history"])
        writer.writerows([f"u{place}", json.dumps(history)] for place, history in enumerate(histories))
    pl.DataFrame({"user": [f"u{place}" for place in range(5)], "history": histories}).write_parquet(
        tmp_path / "users.parquet"
    )
    found = []
    for source in ("users.csv", "users.parquet"):
        for output in ("recs.csv", "recs.parquet", "recs.jsonl"):
            run(context, tmp_path / source, tmp_path / output, replace=True)
        table = pl.read_csv(tmp_path / "recs.csv", infer_schema=False)
        assert table.equals(pl.read_parquet(tmp_path / "recs.parquet"))
        lists = [json.loads(line)["items"] for line in (tmp_path / "recs.jsonl").read_text().splitlines()]
        assert [json.loads(items) for items in table["items"]] == lists
        found.append((lists, table["user"].to_list()))
    assert found[0] == found[1]


def test_unusual_user_ids_and_file_names_are_written(context: Context, tmp_path: Path) -> None:
    source = tmp_path / "users[1].jsonl"
    source.write_text('{"user": "\\ud800", "history": [1]}\n{"user": {"id": 3}, "history": [2]}\n')
    for output in ("recs[1].csv", "recs[1].parquet", "recs[1].jsonl"):
        assert run(context, source, tmp_path / output).users == 2
