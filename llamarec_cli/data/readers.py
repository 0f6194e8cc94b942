"""Readers of known raw logs: interactions and titles as two tables.

A source is a folder, a zip file or wheel, or one file of a folder. Its format is detected from its file names.
Downloaded content is never evaluated: metadata lines are parsed as JSON or as Python literals.
"""

from __future__ import annotations

import ast
import gzip
import html
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import assert_never

import polars as pl

from llamarec_cli.data.encodings import HEAD_BYTES, UnreadableError, check_text, not_utf8
from llamarec_cli.data.titles import clean_movie_title
from llamarec_cli.errors import LlamaRecError


@dataclass(frozen=True)
class RawLog:
    """Interactions and titles as read from a source.

    Attributes:
        interactions: Columns `user` and `item` (raw ids as text) and `time` (integer: seconds since 1970, or the
            position in the user's sequence if the source has no times), in file order.
        titles: Columns `item` and `title`; items without a title are absent or have an empty one.
        has_timestamps: Whether `time` is in seconds.
    """

    interactions: pl.DataFrame
    titles: pl.DataFrame
    has_timestamps: bool


class RawFormat(StrEnum):
    """Format of a source."""

    MOVIELENS_CSV = "ratings.csv and movies.csv of GroupLens"
    RECBOLE_ATOMIC = "ml-100k.inter and ml-100k.item of RecBole"
    AMAZON_2014 = "ratings_*.csv and meta_*.json of the Amazon reviews"
    TSV_PAIR = "interactions.tsv (user, item, position) and titles.tsv (item, title), without headers"


Opener = Callable[[], bytes]


def read_raw_log(source: Path) -> RawLog:
    """Read a folder, a zip file or wheel, or one of the files in a folder.

    Raises:
        LlamaRecError: The source is missing.
        UnreadableError: It has no known format, or is damaged.
    """
    if not source.exists():
        raise LlamaRecError(f"The source {source} does not exist.", "Check the path in `source`.")
    known = "Known: " + "; ".join(known.value for known in RawFormat)
    found: list[RawFormat] = []
    try:
        files = _list_files(source)
        found = _detect(files)
        if not found:
            raise UnreadableError(f"{source} contains no known raw data set.", known)
        if len(found) > 1:
            raise UnreadableError(
                f"{source} contains several raw data sets: {'; '.join(found)}.",
                "Give one of the files of the data set that you mean.",
            )
        match found[0]:
            case RawFormat.MOVIELENS_CSV:
                return _read_movielens(files)
            case RawFormat.RECBOLE_ATOMIC:
                return _read_recbole(files)
            case RawFormat.AMAZON_2014:
                return _read_amazon(files)
            case RawFormat.TSV_PAIR:
                return _read_tsv_pair(files)
        assert_never(found[0])
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, zipfile.BadZipFile, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        if "utf-8" in reason.lower():
            raise not_utf8(str(source)) from error
        raise UnreadableError(
            f"{source} cannot be read as {found[0] if found else 'a data set'}: {reason}.",
            "Fetch or export it again in that format.",
        ) from error


def _list_files(source: Path) -> dict[str, Opener]:
    """Map each file's name, without `.gz`, to a function that reads its bytes.

    If the source is one file, only it and its companion are listed.
    """
    if source.is_file() and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
        return {_plain(PurePosixPath(name).name): _zip_opener(source, name) for name in names}
    folder = source if source.is_dir() else source.parent
    files = {_plain(path.name): _file_opener(path) for path in sorted(folder.iterdir()) if path.is_file()}
    if source.is_dir():
        return files
    named = _plain(source.name)
    partners = {named, *_partners(named)}
    return {name: opener for name, opener in files.items() if name in partners}


def _partners(name: str) -> tuple[str, ...]:
    """Return the files of the format that a file name belongs to."""
    for pair in _PAIRS.values():
        if name in pair:
            return pair
    if name.startswith("ratings_") and name.endswith(".csv"):
        return (f"meta_{name[8:-4]}.json",)
    if name.startswith("meta_") and name.endswith(".json"):
        return (f"ratings_{name[5:-5]}.csv",)
    return ()


def _plain(name: str) -> str:
    return name.removesuffix(".gz")


def _file_opener(path: Path) -> Opener:
    def read() -> bytes:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as stream:
                return _checked(str(path), stream.read())
        return _checked(str(path), path.read_bytes())

    return read


def _zip_opener(archive_path: Path, member: str) -> Opener:
    def read() -> bytes:
        with zipfile.ZipFile(archive_path) as archive:
            content = archive.read(member)
        return _checked(member, gzip.decompress(content) if member.endswith(".gz") else content)

    return read


def _checked(name: str, content: bytes) -> bytes:
    """Return the content of a file after checking its encoding."""
    check_text(name, content[:HEAD_BYTES])
    return content


_PAIRS = {
    RawFormat.MOVIELENS_CSV: ("ratings.csv", "movies.csv"),
    RawFormat.RECBOLE_ATOMIC: ("ml-100k.inter", "ml-100k.item"),
    RawFormat.TSV_PAIR: ("interactions.tsv", "titles.tsv"),
}


def _detect(files: Mapping[str, Opener]) -> list[RawFormat]:
    """Return the formats found; the Amazon format once for each pair of files."""
    found = [raw_format for raw_format, pair in _PAIRS.items() if files.keys() >= set(pair)]
    return found + [RawFormat.AMAZON_2014] * len(_amazon_pairs(files))


def _amazon_pairs(files: Mapping[str, Opener]) -> list[tuple[str, str]]:
    """Return the file names of ratings and their metadata."""
    ratings = [name for name in files if name.startswith("ratings_") and name.endswith(".csv")]
    return [(name, meta) for name in ratings if (meta := f"meta_{name[8:-4]}.json") in files]


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
    """Join title and year. The year is a column of its own, except for item 1412, whose columns are shifted."""
    if title == "unkonwn":  # sic: item 267 has no title in the original either
        return ""
    return clean_movie_title(f"{title} ({year})" if len(year) == 4 and year.isdigit() else title)


def _read_amazon(files: Mapping[str, Opener]) -> RawLog:
    ratings_name, metadata_name = _amazon_pairs(files)[0]
    ratings = pl.read_csv(
        io.BytesIO(files[ratings_name]()),
        has_header=False,
        new_columns=["user", "item", "rating", "time"],
        schema_overrides={"column_1": pl.String, "column_2": pl.String},
    )
    pairs = [_parse_metadata(line) for line in files[metadata_name]().split(b"\n") if line.strip()]
    titles = pl.DataFrame(pairs, schema={"item": pl.String, "title": pl.String}, orient="row")
    return RawLog(ratings.select("user", "item", pl.col("time").cast(pl.Int64)), titles, has_timestamps=True)


def _parse_metadata(line: bytes) -> tuple[str, str]:
    """Parse item and title of one line of Amazon metadata: JSON in 2018, Python literals in 2014, never evaluated.

    HTML entities in titles are decoded, unlike in the official code: a language model reads "&" better than "&amp;".
    """
    text = line.decode("utf-8")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        try:
            record = ast.literal_eval(text)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            record = None
    if not isinstance(record, dict):
        return "", ""
    return str(record.get("asin") or ""), html.unescape(str(record.get("title") or "")).strip()


def _read_tsv_pair(files: Mapping[str, Opener]) -> RawLog:
    def read(name: str, columns: dict[str, pl.DataType]) -> pl.DataFrame:
        return pl.read_csv(
            io.BytesIO(files[name]()), separator="\t", quote_char=None, has_header=False, schema=pl.Schema(columns)
        )

    interactions = read("interactions.tsv", {"user": pl.String(), "item": pl.String(), "time": pl.Int64()})
    titles = read("titles.tsv", {"item": pl.String(), "title": pl.String()})
    unescaped = titles.with_columns(pl.col("title").map_elements(html.unescape, return_dtype=pl.String))
    return RawLog(interactions, unescaped, has_timestamps=False)
