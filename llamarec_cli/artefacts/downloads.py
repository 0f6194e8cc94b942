"""Paths of all files that this program can download."""

from __future__ import annotations

from pathlib import Path

from llamarec_cli.data.catalogue import CATALOGUE, CatalogueRow, UrlSource, WheelSource
from llamarec_cli.language_model.catalogue import BASE_MODELS
from llamarec_cli.store.downloads import file_of_wheel, files_of_url
from llamarec_cli.store.registry import Store


def known_downloads(store: Store) -> list[Path]:
    """Return every file that a download may have written, whether it exists or not; other files are not ours."""
    sources = [
        file for row in CATALOGUE.values() for place in range(len(row.sources)) for file in _files(store, row, place)
    ]
    return [*sources, *(file_of_wheel(store, row.wheel) for row in BASE_MODELS.values())]


def folder_of(row: CatalogueRow, place: int) -> str:
    """Return the downloads folder of a data set's source, by its index in `sources`."""
    return f"{row.name}-{place + 1}"


def is_downloaded(store: Store, row: CatalogueRow, place: int) -> bool:
    """Return whether all files of a data set's source have been fetched, by its index in `sources`."""
    match row.sources[place]:
        case WheelSource(wheel=wheel):
            return file_of_wheel(store, wheel).is_file()
        case UrlSource(urls=urls):
            return all(files_of_url(store, url, folder_of(row, place))[0].is_file() for url in urls)


def forget_source(store: Store, row: CatalogueRow, place: int) -> None:
    """Remove the files fetched from a source that turned out to be unreadable, so that they are fetched again."""
    for file in _files(store, row, place):
        file.unlink(missing_ok=True)


def _files(store: Store, row: CatalogueRow, place: int) -> list[Path]:
    match row.sources[place]:
        case WheelSource(wheel=wheel):
            return [file_of_wheel(store, wheel)]
        case UrlSource(urls=urls):
            return [file for url in urls for file in files_of_url(store, url, folder_of(row, place))]
