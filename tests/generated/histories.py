"""Histories and files of users that nobody should hand in."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import polars as pl
from generated import mutations, places
from generated.checking import Case
from generated.world import ITEMS, World

_RECOMMEND = ["recommend", "--dataset", "shop"]
_RANKERS = (["--ranker", "shop/signals"], ["--ranker", "shop/lrurec"], [])


def one_history(random: Random, world: World) -> Case:
    """`recommend --history`, from a file or from a pipe."""
    content, told = _content(random)
    options = [*_ranker(random), *random.choice([[], ["--json"], ["--ids"], ["--top", "3"], ["--k", "5"]])]
    if random.random() < 0.3:
        return Case([*_RECOMMEND, "--history", "-", *options], stdin=content, told=told)
    (world / "hist.json").write_bytes(content)
    name = "hist.json"
    if random.random() < 0.15:
        name, told = places.another_name(world / "hist.json", random), "another place"
    return Case([*_RECOMMEND, f"--history={name}", *options], told=told)


def _ranker(random: Random) -> list[str]:
    return random.choices(_RANKERS, [8, 1, 1])[0]


def _content(random: Random) -> tuple[bytes, str]:
    value = history(random)
    match random.choices(range(4), [7, 2, 3, 1])[0]:
        case 0:
            return mutations.json_text(value), "entries"
        case 1:
            return mutations.json_text(mutations.changed_json(value, random)), "JSON"
        case 2:
            return mutations.mutated(mutations.json_text(value), random), "bytes"
        case _:
            return mutations.nested(random).encode(), "nesting"


def history(random: Random) -> Any:
    odd = random.random() < 0.15
    entries = [_odd(random) if odd and random.random() < 0.2 else _entry(random) for _ in range(_length(random))]
    user = mutations.scalar(random)
    return random.choice([entries, entries, entries, {"history": entries}, {"user": user, "history": entries}])


def _length(random: Random) -> int:
    return random.choices([0, 1, 3, 8, 300], [1, 6, 6, 6, 1])[0]


def _entry(random: Random) -> Any:
    """What can be an entry, known or not."""
    item = random.randrange(ITEMS + 2)
    title = f"Film {item:02d}, The ({1950 + item})"
    word = random.choice(mutations.WORDS)
    known = [f"i{item}", title, title.upper(), f"film {item:02d}", f" i{item} ", {"id": f"i{item}"}, {"title": title}]
    return random.choice([*known, *known, item, float(item), 10**15, word, {"id": word}, {"title": word}, title + word])


def _odd(random: Random) -> Any:
    scalar = mutations.scalar(random)
    return random.choice([mutations.anything(random), {"id": scalar}, {"title": scalar}, {"id": "i1", "title": "x"}])


def file_of_users(random: Random, world: World) -> Case:
    """`recommend --input`: records, forms, names, and outputs that are there or cannot be."""
    source = _written_source(random, world)
    output = random.choice(["out.jsonl", "out.csv", "out.parquet", "-"])
    changes: tuple[str, ...] = ()
    options = [*_ranker(random), *random.choice([[], ["--json"], ["--resume"], ["--replace"], ["--top", "2"]])]
    match random.randrange(12):
        case 0:
            output = places.another_name(world / "out.jsonl", random)
            changes = ("out.jsonl",) if "--replace" in options else ()
        case 1:
            output = "done.jsonl"
            changes = ("done.jsonl",) if "--replace" in options else ()
        case 2:
            _unfinished(world, random)
            output, changes = "out.jsonl", ("out.jsonl.partial",) if {"--resume", "--replace"} & {*options} else ()
        case 3:
            source = places.another_name(world / "users.jsonl", random)
    if random.random() < 0.1:
        content = (world / "users.jsonl").read_bytes() if (world / "users.jsonl").is_file() else b"[]"
        return Case([*_RECOMMEND, "--input", "-", "--output", "-", *options], stdin=mutations.mutated(content, random))
    return Case([*_RECOMMEND, f"--input={source}", f"--output={output}", *options], changes=changes, told=source[:50])


def _unfinished(world: World, random: Random) -> None:
    """Leave what an interrupted run might have, or what it never would."""
    header = b'{"begun_with": {"input": "0", "top": null}}\n'
    content = header + (world / "done.jsonl").read_bytes()
    path = world / "out.jsonl.partial"
    if random.random() < 0.8:
        changed = mutations.mutated(content, random)
        # An empty file, or the beginning of a header, holds nothing that could be lost.
        path.write_bytes(changed if len(changed) > len(header) else content)
    else:
        places.replace(path, random)


def _written_source(random: Random, world: World) -> str:
    form = random.choice(["jsonl", "jsonl", "csv", "parquet"])
    path = world / f"users.{form}"
    if form == "parquet":
        _write_parquet(random, world)
    elif form == "jsonl":
        path.write_bytes(b"\n".join(_record(random) for _ in range(random.randrange(8))) + b"\n")
    else:
        path.write_bytes(_csv(random))
    if random.random() < 0.25:
        path.write_bytes(mutations.mutated(path.read_bytes(), random))
    return path.name


def _record(random: Random) -> bytes:
    record = {
        random.choice(["user", "user_id", "User Id", "uid"]): mutations.scalar(random),
        "history": history(random),
    }
    content = mutations.json_text(mutations.changed_json(record, random) if random.random() < 0.4 else record)
    return mutations.mutated(content, random) if random.random() < 0.2 else content


def _csv(random: Random) -> bytes:
    header = random.choice(
        ["user,history", "history,user", "history", "History;User", "user,history,history", "user", ""]
    )
    rows = []
    for _ in range(random.randrange(8)):
        quoted = json.dumps(history(random)).replace('"', '""')
        rows.append(
            random.choice(
                [
                    f'u,"{quoted}"',
                    f'u,"{quoted}"',
                    f'{random.choice(mutations.WORDS)},"{quoted}"',
                    quoted,
                    f'"{quoted}"',
                    f'u,"{quoted}",x',
                    "",
                ]
            )
        )
    return "\n".join([header, *rows, ""]).encode("utf-8", "surrogatepass")


def _write_parquet(random: Random, world: World) -> None:
    columns: list[Any] = [
        [["i1", "i2"], ["i3"], [], None],
        [[1, 2], [3], [4], [5]],
        ['["i1"]', "[]", "null", "x"],
        [1, 2, 3, None],
        [1.5, float("nan"), float("inf"), 7.0],
        [b"\xff", b"", b"[]", None],
        [{"a": 1}, {"a": 2}, None, {"a": None}],
        [[["i1"]], [[]], [], None],
        [None, None, None, None],
    ]
    names = random.choice([["user", "history"], ["history"], ["history", "user"], ["x", "history"], ["user", "x"]])
    frame = pl.DataFrame({name: random.choice(columns) for name in names}, strict=False)
    frame.head(random.choice([0, 1, 4])).write_parquet(world / "users.parquet")
