"""Logs and catalogues that nobody should hand in, for `prepare`."""

from __future__ import annotations

import gzip
import io
import zipfile
from random import Random

import polars as pl
import zstandard
from generated import mutations, places
from generated.checking import Case
from generated.world import World, catalogue_rows, log_rows, separated

_LOG = ["user_id", "item_id", "timestamp", "rating"]
_CATALOGUE = ["item_id", "title"]
_CELLS = (
    "", "NaN", "NULL", "None", " ", "nan", "-1", "1e999", "inf", "9" * 30, "9" * 400, "²", "１２", "3.0", '"', '"x',
    'x"y', "'", "a,b", "a\tb", "a;b", "a\nb", "\x00", "\x1b[2J", "é", "e\u0301", "\u202e", "x" * 70_000,
    " " * 20_000 + "x", "2024-12-31", "31/12/2024", "2024-12-31T10:00:00Z", "2024-12-31 10:00 UTC", "10:00", "1e9",
    "1.5e18", "-5", "0", "tomorrow", "9999-99-99", "0001-01-01", "99999-01-01", "-9223372036854775808",
    "9223372036854775808", "[]", '{"a": 1}', "(1950)", "((((" * 500,
)  # fmt: skip
_NAMES = (
    "", " ", "user", "item", "item_id", "user_id", "id", "title", "name", "time", "timestamp", "rating", "é", "x\ny",
    '"', "a,b", "{title}", "{title} by {brand}", "{", "}", "{}", "{0}", "{title!r}", "{title:>999999999}",
    "{title.__class__}", "x" * 5000, "\x00",
)  # fmt: skip
_FORMATS = (
    "%d/%m/%Y", "%Y", "", "%", "%Q", "%%", "%s", "%f", "%z", "%Y-%m-%d %H:%M:%S.%f%z", "x" * 5000, "%d" * 500, "\x00",
    "é", "{}",
)  # fmt: skip


def table(random: Random, world: World) -> Case:
    """`prepare NAME --interactions LOG`, with or without `--items CATALOGUE`."""
    log = _written(random, world, "log", _LOG, log_rows())
    arguments = ["prepare", random.choice(["other", "other", "shop"]), f"--interactions={log}"]
    if random.random() < 0.9:
        arguments.append(f"--items={_written(random, world, 'items', _CATALOGUE, catalogue_rows())}")
    arguments += [f"--min-count={random.choice([1, 1, 2, 5])}", *_options(random)]
    changes = ("home/artefacts/shop",) if "--replace" in arguments else ()
    return Case(arguments, changes=changes)


def _options(random: Random) -> list[str]:
    options = [
        f"--user-column={random.choice(_NAMES)}",
        f"--item-column={random.choice(_NAMES)}",
        f"--time-column={random.choice(_NAMES)}",
        f"--rating-column={random.choice(_NAMES)}",
        f"--items-id-column={random.choice(_NAMES)}",
        f"--title-column={random.choice(_NAMES)}",
        f"--time-format={random.choice(_FORMATS)}",
        f"--repeats={random.choice(['keep', 'keep', 'consecutive', 'drop', '', 'again'])}",
        f"--min-rating={random.choice(['3', '0', '-1', '1e300', 'nan', '5'])}",
    ]
    switches = [one for one in ("--deduplicate", "--strict", "--replace", "--json") if random.random() < 0.2]
    return [*random.sample(options, random.choice([0, 0, 0, 0, 0, 1, 1, 2])), *switches]


def _written(random: Random, world: World, name: str, header: list[str], rows: list[list[str]]) -> str:
    """Write a table in some form, with something wrong with it, and return its name."""
    if random.random() < 0.03:
        return places.another_name(world / f"{name}.csv", random)
    rows = random.sample(rows, len(rows)) if random.random() < 0.1 else rows
    if random.random() < 0.6:
        header, rows = _spoilt(random, header, rows)
    form = random.choice(["csv", "csv", "csv", "tsv", "jsonl", "parquet"])
    content = _in_form(random, form, header, rows)
    if random.random() < 0.2:
        content = mutations.mutated(content, random)
    ending = random.choice([".gz", ".zst"]) if random.random() < 0.15 else ""
    content = _packed(random, content, ending)
    path = world / f"{name}.{form}{ending}"
    path.write_bytes(content)
    return path.name


def _packed(random: Random, content: bytes, ending: str) -> bytes:
    packed = content
    if ending == ".gz":
        packed = gzip.compress(content, mtime=0)
    elif ending == ".zst":
        packed = zstandard.ZstdCompressor().compress(content)
    if ending and random.random() < 0.5:
        packed = random.choice([mutations.mutated(packed, random), content, packed + packed])
    return packed


def _spoilt(random: Random, header: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Change cells, columns, names and the number of fields."""
    header, rows = [*header], [[*row] for row in rows]
    for _ in range(random.choice([1, 1, 2, 4])):
        match random.choices(range(9), [12, 12, 3, 6, 1, 2, 1, 2, 1])[0]:
            case 0 | 1:
                for row in random.sample(rows, min(len(rows), random.choice([1, 3, len(rows)]))):
                    if row:
                        row[random.randrange(len(row))] = random.choice(_CELLS)
            case 2:
                column = random.randrange(len(header))
                for row in rows:
                    if column < len(row):
                        row[column] = random.choice(_CELLS)
            case 3:
                row = random.choice(rows)
                row[:] = random.choice([[*row, "x"], row[:-1], [], [*row, *row]])
            case 4:
                header[random.randrange(len(header))] = random.choice(_NAMES)
            case 5:
                header.append(random.choice([*header, *_NAMES]))
                rows = [[*row, random.choice(_CELLS)] for row in rows]
            case 6:
                header, rows = header[:-1] or [""], [row[:-1] for row in rows]
            case 7:
                rows = random.choice([[], rows[:1], rows[:3], [*rows, *rows]]) or [[""]]
            case 8:
                header = random.choice([[""], header, [header[0]] * len(header)])
    return header, rows


def _in_form(random: Random, form: str, header: list[str], rows: list[list[str]]) -> bytes:
    if form == "jsonl":
        records = [dict(zip(header, row, strict=False)) for row in rows]
        if random.random() < 0.5:
            records = [mutations.changed_json(one, random) if random.random() < 0.1 else one for one in records]
        return b"\n".join(mutations.json_text(one) for one in records)
    if form == "parquet":
        return _parquet(random, header, rows)
    separator = "\t" if form == "tsv" else random.choice([*[","] * 9, ";", "|", "\t", ", ", "::"])
    if random.random() < 0.1:
        return "\n".join(separator.join(f'"{cell}"' for cell in row) for row in (header, *rows)).encode()
    return separated([header, *rows], separator)


def _parquet(random: Random, header: list[str], rows: list[list[str]]) -> bytes:
    columns = {name: [row[place] if place < len(row) else None for row in rows] for place, name in enumerate(header)}
    frame = pl.DataFrame(columns, strict=False)
    types = [
        pl.Int64,
        pl.Float64,
        pl.Date,
        pl.Datetime,
        pl.Binary,
        pl.Categorical,
        pl.UInt8,
        pl.Boolean,
        pl.List(pl.String),
    ]
    for name in frame.columns:
        if random.random() < 0.3:
            frame = _cast(frame, name, random.choice(types))
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


def _cast(frame: pl.DataFrame, name: str, to: pl.DataType | type[pl.DataType]) -> pl.DataFrame:
    try:
        return frame.with_columns(pl.col(name).cast(to, strict=False))
    except pl.exceptions.PolarsError:
        return frame


def known_set(random: Random, world: World) -> Case:
    """`prepare ml-100k --source`: raw files as others publish them, spoilt."""
    raw = world / "raw"
    if random.random() < 0.5:
        for name, rows in (("interactions", log_rows()), ("titles", catalogue_rows())):
            (raw / f"{name}.tsv").write_bytes(separated([row[:3] for row in rows], "\t"))
        for name in random.choice([("movies", "ratings"), ("movies",), ()]):
            (raw / f"{name}.csv").unlink()
    for path in sorted(raw.iterdir()):
        if random.random() < 0.5:
            path.write_bytes(mutations.mutated(path.read_bytes(), random))
        if random.random() < 0.1:
            places.replace(path, random)
    arguments = ["prepare", random.choice(["ml-100k", "ml-100k", "games", "beauty", "ml-100k-1998", "shop"])]
    return Case([*arguments, f"--source={_source(random, world)}", *random.choice([[], ["--json"], ["--replace"]])])


def _source(random: Random, world: World) -> str:
    if random.random() < 0.1:
        return places.another_name(world / "raw", random)
    if random.random() < 0.6:
        return random.choice(["raw", "raw", "raw/movies.csv", "raw/interactions.tsv", "raw/nothing"])
    with zipfile.ZipFile(world / "raw.zip", "w") as archive:
        for path in sorted((world / "raw").iterdir()):
            if path.is_file():
                archive.write(path, random.choice([path.name, f"x/{path.name}", f"../{path.name}"]))
    if random.random() < 0.5:
        (world / "raw.zip").write_bytes(mutations.mutated((world / "raw.zip").read_bytes(), random))
    return "raw.zip"
