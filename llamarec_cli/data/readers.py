"""Raw logs into two tables: interactions and titles.

A source is a folder, a zip or wheel, or one file of a folder. Which format it has is told by the names of its files.
Nothing that was downloaded is ever evaluated: metadata lines are parsed as JSON or as Python literals.
"""

from __future__ import annotations

import ast
import gzip
import html
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import assert_never

import polars as pl

from llamarec_cli.data.titles import clean_movie_title
from llamarec_cli.errors import LlamaRecError


@dataclass(frozen=True)
class RawLog:
    """What a reader returns.

    Attributes:
        interactions: Columns `user` and `item` (raw ids as strings) and `time` (integer; seconds since 1970, or the
            position within the user where the source knows no times), in file order.
        titles: Columns `item` and `title`; items without a title are absent or have an empty one.
        has_timestamps: Whether `time` is in seconds.
    """

    interactions: pl.DataFrame
    titles: pl.DataFrame
    has_timestamps: bool


class RawFormat(StrEnum):
    """How a source is written down."""

    MOVIELENS_CSV = "ratings.csv and movies.csv of GroupLens"
    RECBOLE_ATOMIC = "ml-100k.inter and ml-100k.item of RecBole"
    AMAZON_2014 = "ratings_*.csv and meta_*.json of the Amazon reviews"
    TSV_PAIR = "interactions.tsv and titles.tsv, without headers"


Opener = Callable[[], bytes]


def read_raw_log(source: Path) -> RawLog:
    """Read a folder, a zip or wheel, or one of the files in a folder.

    Raises:
        LlamaRecError: The source is missing, holds no known format, or is damaged.
    """
    files = _list_files(source)
    raw_format = _detect(files)
    if raw_format is None:
        raise LlamaRecError(
            f"{source} holds no known raw data set.", "Known: " + "; ".join(known.value for known in RawFormat)
        )
    try:
        match raw_format:
            case RawFormat.MOVIELENS_CSV:
                return _read_movielens(files)
            case RawFormat.RECBOLE_ATOMIC:
                return _read_recbole(files)
            case RawFormat.AMAZON_2014:
                return _read_amazon(files)
            case RawFormat.TSV_PAIR:
                return _read_tsv_pair(files)
    except (pl.exceptions.PolarsError, OSError, EOFError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise LlamaRecError(
            f"{source} looks like {raw_format.value}, but cannot be read: {reason}.", "Fetch or export it again."
        ) from error
    assert_never(raw_format)


def _list_files(source: Path) -> dict[str, Opener]:
    """Map each file's name, less any `.gz`, to what reads its bytes."""
    if not source.exists():
        raise LlamaRecError(f"The source {source} does not exist.", "Check the path given to --source.")
    if source.is_file() and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
        return {_plain(PurePosixPath(name).name): _zip_opener(source, name) for name in names}
    folder = source if source.is_dir() else source.parent
    return {_plain(path.name): _file_opener(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _plain(name: str) -> str:
    return name.removesuffix(".gz")


def _file_opener(path: Path) -> Opener:
    def read() -> bytes:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as stream:
                return stream.read()
        return path.read_bytes()

    return read


def _zip_opener(archive_path: Path, member: str) -> Opener:
    def read() -> bytes:
        with zipfile.ZipFile(archive_path) as archive:
            content = archive.read(member)
        return gzip.decompress(content) if member.endswith(".gz") else content

    return read


def _detect(files: Mapping[str, Opener]) -> RawFormat | None:
    if {"ratings.csv", "movies.csv"} <= files.keys():
        return RawFormat.MOVIELENS_CSV
    if {"ml-100k.inter", "ml-100k.item"} <= files.keys():
        return RawFormat.RECBOLE_ATOMIC
    if {"interactions.tsv", "titles.tsv"} <= files.keys():
        return RawFormat.TSV_PAIR
    if _amazon_names(files) is not None:
        return RawFormat.AMAZON_2014
    return None


def _amazon_names(files: Mapping[str, Opener]) -> tuple[str, str] | None:
    """Return the names of the ratings and of their metadata, where exactly one pair is there."""
    ratings = [name for name in files if name.startswith("ratings_") and name.endswith(".csv")]
    pairs = [(name, meta) for name in ratings if (meta := f"meta_{name[8:-4]}.json") in files]
    return pairs[0] if len(pairs) == 1 else None


def _read_movielens(files: Mapping[str, Opener]) -> RawLog:
    ratings = pl.read_csv(
        io.BytesIO(files["ratings.csv"]()), schema_overrides={"userId": pl.String, "movieId": pl.String}
    )
    movies = pl.read_csv(io.BytesIO(files["movies.csv"]()), schema_overrides={"movieId": pl.String, "title": pl.String})
    return RawLog(
        interactions=ratings.select(
            user=pl.col("userId"), item=pl.col("movieId"), time=pl.col("timestamp").cast(pl.Int64)
        ),
        titles=movies.select(
            item=pl.col("movieId"), title=pl.col("title").map_elements(clean_movie_title, return_dtype=pl.String)
        ),
        has_timestamps=True,
    )


def _read_recbole(files: Mapping[str, Opener]) -> RawLog:
    def read(name: str) -> pl.DataFrame:
        return pl.read_csv(io.BytesIO(files[name]()), separator="\t", quote_char=None, infer_schema=False)

    interactions = read("ml-100k.inter").select(
        user=pl.col("user_id:token"), item=pl.col("item_id:token"), time=pl.col("timestamp:float").cast(pl.Int64)
    )
    items = read("ml-100k.item")
    titles = [
        _recbole_title(title or "", year or "")
        for title, year in zip(items["movie_title:token_seq"], items["release_year:token"], strict=True)
    ]
    return RawLog(interactions, pl.DataFrame({"item": items["item_id:token"], "title": titles}), has_timestamps=True)


def _recbole_title(title: str, year: str) -> str:
    """Join title and year; the year stands in a column of its own, but for item 1412, whose columns are shifted."""
    if title == "unkonwn":  # sic: item 267 has no title in the original either
        return ""
    return clean_movie_title(f"{title} ({year})" if len(year) == 4 and year.isdigit() else title)


def _read_amazon(files: Mapping[str, Opener]) -> RawLog:
    names = _amazon_names(files)
    assert names is not None, "_detect found the pair"
    ratings = pl.read_csv(
        io.BytesIO(files[names[0]]()),
        has_header=False,
        new_columns=["user", "item", "rating", "time"],
        schema_overrides={"user": pl.String, "item": pl.String},
    )
    records = [_parse_metadata(line) for line in files[names[1]]().decode("utf-8").splitlines() if line.strip()]
    titles = pl.DataFrame(
        {
            "item": [str(record.get("asin", "")) for record in records],
            # The official code keeps HTML entities; a language model reads "&" better than "&amp;".
            "title": [html.unescape(str(record.get("title") or "")).strip() for record in records],
        },
        schema={"item": pl.String, "title": pl.String},
    )
    interactions = ratings.select("user", "item", pl.col("time").cast(pl.Int64))
    return RawLog(interactions, titles.unique("item", keep="first", maintain_order=True), has_timestamps=True)


def _parse_metadata(line: str) -> dict[str, object]:
    """Parse one line of Amazon metadata: JSON in 2018, Python literals in 2014. Nothing is evaluated."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        try:
            record = ast.literal_eval(line)
        except (ValueError, SyntaxError):
            return {}
    return record if isinstance(record, dict) else {}


def _read_tsv_pair(files: Mapping[str, Opener]) -> RawLog:
    def read(name: str, columns: dict[str, pl.DataType]) -> pl.DataFrame:
        return pl.read_csv(
            io.BytesIO(files[name]()), separator="\t", quote_char=None, has_header=False, schema=pl.Schema(columns)
        )

    interactions = read("interactions.tsv", {"user": pl.String(), "item": pl.String(), "time": pl.Int64()})
    titles = read("titles.tsv", {"item": pl.String(), "title": pl.String()})
    unescaped = titles.with_columns(pl.col("title").map_elements(html.unescape, return_dtype=pl.String))
    return RawLog(interactions, unescaped, has_timestamps=False)
