"""Recommendations for a file of users: one record each, in order, resumable.

Records are ranked in chunks and appended to `OUTPUT.partial`, one JSON line each, so memory does not grow with the
file. When all are written, that file is converted to the format of the output. A killed run leaves complete lines and
at most one torn line; `resume` drops the torn line and continues after the last complete one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import polars as pl

from llamarec_cli import strict_json
from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.user_files import STANDARD, Entry, check_source, count_entries, read_entries
from llamarec_cli.engines.engine import Engine
from llamarec_cli.engines.registry import DEFAULT_ENGINE, engine_row
from llamarec_cli.errors import LlamaRecError, UsageError
from llamarec_cli.failures import file_failures
from llamarec_cli.outputs import PARTIAL, need_output
from llamarec_cli.pipeline.recommend.finished import OVERWRITE_HINT, check_recipe, remember_recipe
from llamarec_cli.pipeline.recommend.formats import finish, lines_of
from llamarec_cli.pipeline.recommend.recommender import warn_of_unnamed
from llamarec_cli.pipeline.recommend.unfinished import Summary, begin, continue_partial, held, holds_records
from llamarec_cli.pipeline.recommend.worker import ChunkResult, RecommendSpec, RecommendWorker
from llamarec_cli.progress import Progress
from llamarec_cli.store.manifest import sha256_of

_FORMATS = (".jsonl", ".csv", ".parquet")
_REMEDY = "give another `output`"

_Chunk = list[Entry]


def recommend_file(
    context: Context,
    spec: RecommendSpec,
    source: Path,
    output: Path,
    *,
    engine: str = DEFAULT_ENGINE,
    resume: bool = False,
    replace: bool = False,
) -> Summary:
    """Recommend for every record of a file.

    Args:
        context: Store and reporting callbacks.
        spec: Opens both stages; used once the files are known to be usable, since it takes seconds.
        source: `.jsonl` with a history a line (a list, or an object with `history` and optionally `user`), or `.csv` or
            `.parquet` with a column `history` (in CSV as JSON) and optionally `user`; `-` reads JSON lines from stdin.
        output: `.jsonl`, `.csv` or `.parquet`; `-` writes JSON lines to stdout.
        engine: Name of the engine that runs the workers.
        resume: Whether to continue an interrupted run; a complete output is left as it is.
        replace: Whether to overwrite an existing output.

    Raises:
        LlamaRecError: The source cannot be read, or the output exists.
        UsageError: A file name ends in no known format, or an option is out of range.
    """
    row = engine_row(engine)
    _check_files(source, output, resume=resume)
    if output == STANDARD:
        worker = _warm_worker(context, spec)
        return _write_records(context, worker, row.open(spec, worker), source, sys.stdout, Summary(0, 0))
    partial = output.with_name(output.name + PARTIAL)
    if resume and output.exists() and not partial.exists():
        summary = _count_complete(output, source)
        check_recipe(context, output, _recipe(spec.open_with(context), source))
        context.say(f"{output} is complete, with a record for each of the input; `replace` would make it again.")
        return summary
    _check_output(output, partial, resume=resume, replace=replace)
    worker = _warm_worker(context, spec)
    with file_failures(partial, "Free some space or give another `output`, then `resume`."):
        recipe = _recipe(worker, source)
        with held(partial, output) as kept:
            done = continue_partial(kept, partial, recipe, source) if resume else begin(kept, recipe)
            with partial.open("a", encoding="utf-8") as stream:
                summary = _write_records(context, worker, row.open(spec, worker), source, stream, done)
                stream.flush()
                os.fsync(stream.fileno())
            remember_recipe(context, output, recipe)
            finish(partial, output)
    return summary


def _recipe(worker: RecommendWorker, source: Path) -> dict[str, Any]:
    """Return all that decides about the lists of a file."""
    return {"input": None if source == STANDARD else sha256_of(source), **worker.recipe()}


def _warm_worker(context: Context, spec: RecommendSpec) -> RecommendWorker:
    worker = spec.open_with(context)
    worker.warm_up()
    return worker


def _check_files(source: Path, output: Path, *, resume: bool) -> None:
    """Refuse, before anything is loaded, a source that cannot be read and an output that cannot be written."""
    for path in (source, output):
        if path != STANDARD and path.suffix not in _FORMATS:
            raise UsageError(
                f"{path} must end in {', '.join(_FORMATS)}.", "Or give - for JSON lines on stdin or stdout."
            )
    check_source(source)
    if resume and source == STANDARD:
        raise UsageError("`resume` needs an input in a file, to read it again.", "Give `input` a file.")
    if output == STANDARD:
        if resume:
            raise UsageError("`resume` needs an output in a file.", "Give `output` a file.")
        return
    need_output(output, _REMEDY, PARTIAL + max(_FORMATS, key=len))
    for written in (output, output.with_name(output.name + PARTIAL)):
        if source != STANDARD and written.exists() and source.samefile(written):
            raise UsageError(f"{output} is the input as well.", f"{_REMEDY.capitalize()}.")


def _check_output(output: Path, partial: Path, *, resume: bool, replace: bool) -> None:
    """Refuse to destroy an earlier output.

    If both files exist, a run was killed between its last two steps, and resuming it repeats these.
    """
    if output.exists() and not replace and not (resume and partial.exists()):
        raise LlamaRecError(f"{output} exists.", OVERWRITE_HINT)
    if partial.exists() and not partial.is_file():
        raise LlamaRecError(f"{partial}, the file for unfinished records, is not a file.", f"{_REMEDY.capitalize()}.")
    if holds_records(partial) and not resume and not replace:
        raise LlamaRecError(
            f"{partial} was left by an interrupted run.", "Add `resume` to continue it, or `replace` to start over."
        )


def _count_complete(output: Path, source: Path) -> Summary:
    """Count the records of a complete output, after checking that its line numbers are those of the input.

    Raises:
        LlamaRecError: They are not, or the output cannot be read.
    """
    try:
        lines, errors = lines_of(output)
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        lines, errors = [], 0
    if lines != [entry.line for entry in read_entries(source)]:
        raise LlamaRecError(f"{output} exists, and does not fit the input.", OVERWRITE_HINT)
    return Summary(len(lines), errors)


def _write_records(
    context: Context,
    worker: RecommendWorker,
    engine: Engine[_Chunk, ChunkResult],
    source: Path,
    stream: IO[str],
    done: Summary,
) -> Summary:
    users, errors, unnamed = done.users, done.errors, 0
    total = count_entries(source)
    # A program that writes to a pipe may wait for the answer to one record before it writes the next.
    size = 1 if source == STANDARD else worker.chunk_size()
    # Rounding depends on which users are ranked together, so an interrupted chunk is ranked again as a whole.
    written = users % size
    for result in engine.map(_chunks(read_entries(source), size, users)):
        unnamed += result.unnamed
        for record in result.records[written:]:
            errors += "error" in record
            users += 1
            # Flushed line by line, so that a kill loses at most one line.
            stream.write(strict_json.dumps(record) + "\n")
            stream.flush()
            context.report(Progress("recommend", users, total, f"{errors} errors" if errors else ""))
        written = 0
    warn_of_unnamed(unnamed, context.warn)
    return Summary(users, errors)


def _chunks(entries: Iterator[Entry], size: int, done: int) -> Iterator[_Chunk]:
    """Yield chunks of records, without the chunks of which all records are done."""
    read = 0
    while chunk := list(islice(entries, size)):
        read += len(chunk)
        if read > done:
            yield chunk
