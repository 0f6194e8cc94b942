"""The raw files that this program knows how to fetch, and where they lie once they are."""

from __future__ import annotations

from pathlib import Path

from llamarec_cli.data.catalogue import CATALOGUE, CatalogueRow, UrlSource, WheelSource
from llamarec_cli.language_model.catalogue import BASE_MODELS
from llamarec_cli.store.downloads import file_of_wheel, files_of_url
from llamarec_cli.store.registry import Store


def known_downloads(store: Store) -> list[Path]:
    """Return every file that fetching may have left in the downloads, there or not: nothing else in them is ours."""
    sources = [
        file for row in CATALOGUE.values() for place in range(len(row.sources)) for file in _files(store, row, place)
    ]
    return [*sources, *(file_of_wheel(store, row.wheel) for row in BASE_MODELS.values())]


def folder_of(row: CatalogueRow, place: int) -> str:
    """Return the folder in the downloads of one of a data set's sources, counted from 0."""
    return f"{row.name}-{place + 1}"


def forget_source(store: Store, row: CatalogueRow, place: int) -> None:
    """Remove what was fetched from a source that turned out to be something else; else it would be read again."""
    for file in _files(store, row, place):
        file.unlink(missing_ok=True)


def _files(store: Store, row: CatalogueRow, place: int) -> list[Path]:
    match row.sources[place]:
        case WheelSource(wheel=wheel):
            return [file_of_wheel(store, wheel)]
        case UrlSource(urls=urls):
            return [file for url in urls for file in files_of_url(store, url, folder_of(row, place))]
