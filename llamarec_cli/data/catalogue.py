"""Catalogue of known data sets, one row each.

Each row is the paper's data set of that name (section 4.0.1, Table 2), except `ml-100k-1998`: a small one, available
from the package index, on which the starter is trained.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from llamarec_cli.errors import UsageError, command, nearest
from llamarec_cli.numbers import counted


@dataclass(frozen=True)
class UrlSource:
    """Raw files at an official address or a mirror.

    Attributes:
        urls: One URL for each file; all are required.
    """

    urls: tuple[str, ...]


@dataclass(frozen=True)
class WheelSource:
    """Raw files inside a wheel, fetched with pip and thus with the user's index settings.

    Attributes:
        package: Distribution name.
        version: Pinned version.
        wheel: File name of the wheel.
        sha256: SHA-256 of the wheel.
        size: Bytes of the wheel, for the progress bar.
        members: Paths of the raw files inside the wheel.
    """

    package: str
    version: str
    wheel: str
    sha256: str
    size: int
    members: tuple[str, ...]


Source = UrlSource | WheelSource


@dataclass(frozen=True)
class ReferenceCounts:
    """Published counts after preprocessing, shown beside ours.

    Attributes:
        stated_by: The publication.
        users: Number of users.
        items: Number of items.
        interactions: Number of interactions, as published.
        mean_length: Mean sequence length, as published.
        density: interactions / (users x items), as published.
    """

    stated_by: str
    users: int
    items: int
    interactions: str
    mean_length: str
    density: str


@dataclass(frozen=True)
class CatalogueRow:
    """One known data set.

    Attributes:
        name: Name in the store and on the command line.
        title: Human-readable title.
        licence: Terms of use, in short.
        citation: Publication to cite.
        sources: Sources, tried in order until one works.
        counts: Expected counts after preprocessing.
        raw_names: Names of the raw files, for hints.
        note: What a reader of its metrics must know.
    """

    name: str
    title: str
    licence: str
    citation: str
    sources: tuple[Source, ...]
    counts: ReferenceCounts
    raw_names: str
    note: str = ""


RECBOLE_WHEEL = WheelSource(
    package="recbole",
    version="1.2.1",
    wheel="recbole-1.2.1-py3-none-any.whl",
    sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    size=2_130_151,
    members=(
        "recbole/dataset_example/ml-100k/ml-100k.inter",
        "recbole/dataset_example/ml-100k/ml-100k.item",
    ),
)

_SNAP = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
_UCSD_2014 = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon/categoryFiles"
_UCSD_2018 = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2/metaFiles2"
_UCSD_2018_OLD = "https://jmcauley.ucsd.edu/data/amazon_v2/metaFiles2"
_AMAZON_LICENCE = "research use; see the page of the data set"
_AMAZON_CITATION = "McAuley et al., Image-based recommendations on styles and substitutes, SIGIR 2015"

CATALOGUE: dict[str, CatalogueRow] = {
    row.name: row
    for row in (
        CatalogueRow(
            name="ml-100k",
            title="MovieLens latest-small (2018)",
            licence="GroupLens terms: research use, no redistribution without permission",
            citation="Harper and Konstan, The MovieLens Datasets, ACM TiiS 5(4), 2015",
            sources=(UrlSource(("https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",)),),
            counts=ReferenceCounts("LlamaRec, Table 2", 610, 3_650, "100k", "147.99", "4e-2"),
            raw_names="ratings.csv and movies.csv",
            note="The paper's ML-100k; its number of interactions is before preprocessing, its mean length after.",
        ),
        CatalogueRow(
            name="beauty",
            title="Amazon Beauty (2014)",
            licence=_AMAZON_LICENCE,
            citation=_AMAZON_CITATION,
            sources=(
                UrlSource((f"{_SNAP}/ratings_Beauty.csv", f"{_SNAP}/meta_Beauty.json.gz")),
                UrlSource((f"{_UCSD_2014}/ratings_Beauty.csv", f"{_UCSD_2014}/meta_Beauty.json.gz")),
            ),
            counts=ReferenceCounts("LlamaRec, Table 2", 22_332, 12_086, "198K", "8.87", "7e-4"),
            raw_names="ratings_Beauty.csv and meta_Beauty.json.gz, or interactions.tsv.gz and titles.tsv.gz",
        ),
        CatalogueRow(
            name="games",
            title="Amazon Video Games (reviews of 2014, titles of 2018)",
            licence=_AMAZON_LICENCE,
            citation=_AMAZON_CITATION,
            sources=(
                UrlSource((f"{_SNAP}/ratings_Video_Games.csv", f"{_UCSD_2018}/meta_Video_Games.json.gz")),
                UrlSource((f"{_UCSD_2014}/ratings_Video_Games.csv", f"{_UCSD_2018_OLD}/meta_Video_Games.json.gz")),
            ),
            counts=ReferenceCounts("LlamaRec, Table 2", 15_264, 7_676, "148K", "9.69", "1e-3"),
            raw_names="ratings_Video_Games.csv and meta_Video_Games.json.gz, or interactions.tsv.gz and titles.tsv.gz",
        ),
        CatalogueRow(
            name="ml-100k-1998",
            title="MovieLens 100K (1998)",
            licence="GroupLens terms: research use, no redistribution without permission",
            citation="Harper and Konstan, The MovieLens Datasets, ACM TiiS 5(4), 2015",
            sources=(RECBOLE_WHEEL,),
            counts=ReferenceCounts("this project", 943, 1_348, "99,278", "105.28", "8e-2"),
            raw_names="ml-100k.inter and ml-100k.item",
            note='Not the data set that the paper calls "ML-100k", which is ml-100k here.',
        ),
    )
}


def difference_from_reference(name: str, users: int, items: int) -> str | None:
    """Return a warning if a data set's counts differ from the published ones, else None."""
    row = CATALOGUE.get(name)
    if row is None or (users, items) == (row.counts.users, row.counts.items):
        return None
    return (
        f"This {name} ({counted(users, 'user')}, {counted(items, 'item')}) differs from that of {row.counts.stated_by} "
        f"({row.counts.users:,}, {row.counts.items:,}): metrics are not directly comparable."
    )


def catalogue_row(name: str, own: Collection[str] = ()) -> CatalogueRow:
    """Return the catalogue's row of a data set.

    Args:
        name: The name.
        own: Names of the user's own data sets, which the message may suggest.

    Raises:
        UsageError: There is no such name.
    """
    try:
        return CATALOGUE[name]
    except KeyError:
        raise UsageError(
            f"There is no data set called {name}: {nearest(name, [*CATALOGUE, *own])}",
            f"For a data set of your own: {command('prepare NAME', interactions='FILE')}",
        ) from None
