"""`recommend --input`: recommendations for a file of users, one record each, in order, resumable.

Records are read a few at a time, ranked, and appended to `OUTPUT.partial`, one JSON line each; memory does not grow
with the file. When all are done, that becomes the output, in the form its name asks for. A run that was killed left
whole lines, and at most one torn one, which is dropped: `resume` goes on behind the last whole line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import polars as pl

from llamarec_cli import strict_json
from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.histories import HistoryEntry, parse_history
from llamarec_cli.data.user_files import STANDARD, Entry, check_source, count_entries, read_entries
from llamarec_cli.errors import HistoryError, LlamaRecError, UsageError
from llamarec_cli.failures import file_failures
from llamarec_cli.outputs import PARTIAL, need_output
from llamarec_cli.pipeline.recommend.finished import check_recipe, remember_recipe
from llamarec_cli.pipeline.recommend.formats import finish, lines_of
from llamarec_cli.pipeline.recommend.recommender import Recommender
from llamarec_cli.pipeline.recommend.unfinished import Summary, begin, go_on, held, holds_records
from llamarec_cli.progress import Progress
from llamarec_cli.store.manifest import sha256_of

_FORMS = (".jsonl", ".csv", ".parquet")
_REMEDY = "give another --output"


def recommend_file(
    context: Context,
    load: Callable[[], Recommender],
    source: Path,
    output: Path,
    *,
    top: int | None = None,
    resume: bool = False,
    replace: bool = False,
) -> Summary:
    """Recommend for every record of a file.

    Args:
        context: Surroundings.
        load: Loads both stages; called when the files are seen to be usable, since it takes seconds.
        source: `.jsonl` with a history a line (a list, or an object with `history` and perhaps `user`), or `.csv` or
            `.parquet` with a column `history` (in CSV as JSON) and perhaps `user`; `-` reads JSON lines from stdin.
        output: `.jsonl`, `.csv` or `.parquet`; `-` writes JSON lines to stdout.
        top: Length of the lists.
        resume: Whether to go on behind what an interrupted run wrote; where the output is complete, nothing is done.
        replace: Whether an output that is there may be overwritten.

    Raises:
        LlamaRecError: The source cannot be read, or the output is there already.
        UsageError: An ending tells no form, or `top` is out of range.
    """
    for path in (source, output):
        if path != STANDARD and path.suffix not in _FORMS:
            raise UsageError(f"{path} must end in {', '.join(_FORMS)}.", "Or give - for JSON lines on stdin or stdout.")
    check_source(source)
    if resume and source == STANDARD:
        raise UsageError("--resume needs an input in a file, to be read again.", "Give --input FILE.")
    if output == STANDARD:
        if resume:
            raise UsageError("--resume needs an output in a file.", "Give --output FILE.")
        recommender = _loaded(load, top)
        return _run(context, recommender, source, sys.stdout, top, Summary(0, 0))
    partial = output.with_name(output.name + PARTIAL)
    need_output(output, _REMEDY, PARTIAL + max(_FORMS, key=len))
    for written in (output, partial):
        if source != STANDARD and written.exists() and source.samefile(written):
            raise UsageError(f"{output} is the input as well.", "Give another --output.")
    if resume and output.exists() and not partial.exists():
        summary = _complete(output, source)
        check_recipe(context, output, _recipe(load(), source, top))
        context.say(f"{output} is complete, a record for each of the input; --replace makes it anew.")
        return summary
    _check_output(output, partial, resume=resume, replace=replace)
    recommender = _loaded(load, top)
    with file_failures(partial, "Make room or give another --output, then --resume."):
        recipe = _recipe(recommender, source, top)
        with held(partial, output) as kept:
            done = go_on(kept, partial, recipe, source) if resume else begin(kept, recipe)
            with partial.open("a", encoding="utf-8") as stream:
                summary = _run(context, recommender, source, stream, top, done)
                stream.flush()
                os.fsync(stream.fileno())
            remember_recipe(context, output, recipe)
            finish(partial, output)
    return summary


def _recipe(recommender: Recommender, source: Path, top: int | None) -> dict[str, Any]:
    """Return all that decides about the lists of a file."""
    return {"input": None if source == STANDARD else sha256_of(source), **recommender.recipe(top)}


def _loaded(load: Callable[[], Recommender], top: int | None) -> Recommender:
    recommender = load()
    recommender.length(top)
    recommender.load_for_file()
    return recommender


def _check_output(output: Path, partial: Path, *, resume: bool, replace: bool) -> None:
    """Refuse an output that would destroy something.

    Where both files are there, a run was killed between its last two steps, and resuming it repeats them.
    """
    if output.exists() and not replace and not (resume and partial.exists()):
        raise LlamaRecError(f"{output} is there already.", "Give another --output, or --replace to overwrite it.")
    if partial.exists() and not partial.is_file():
        raise LlamaRecError(f"{partial}, where records go until all are there, is no file.", f"{_REMEDY.capitalize()}.")
    if holds_records(partial) and not resume and not replace:
        raise LlamaRecError(
            f"{partial} was left by an interrupted run.", "Add --resume to go on with it, or --replace to start anew."
        )


def _complete(output: Path, source: Path) -> Summary:
    """Count the records of a complete output, and those with an error, after checking that they are the input's.

    Raises:
        LlamaRecError: It holds something else.
    """
    try:
        lines, errors = lines_of(output)
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        lines, errors = [], 0
    if lines != [entry.line for entry in read_entries(source)]:
        raise LlamaRecError(
            f"{output} is there already and does not fit the input.",
            "Give another --output, or --replace to overwrite it.",
        )
    return Summary(len(lines), errors)


def _run(
    context: Context, recommender: Recommender, source: Path, stream: IO[str], top: int | None, done: Summary
) -> Summary:
    users, errors = done.users, done.errors
    total = count_entries(source)
    # Whoever writes to a pipe may wait for the answer to one record before writing the next.
    at_once = 1 if source == STANDARD else recommender.users_at_once
    entries = read_entries(source)
    read = 0
    while some := list(islice(entries, at_once)):
        read += len(some)
        if read <= users:
            continue
        # Users who were ranked together before an interruption are so again, since last bits depend on company.
        for record in _records(recommender, some, top)[len(some) - (read - users) :]:
            errors += "error" in record
            users += 1
            # Line by line, so that a kill loses at most the line it falls into.
            stream.write(strict_json.dumps(record) + "\n")
            stream.flush()
            context.report(Progress("recommend", users, total, f"{errors} errors" if errors else ""))
    recommender.say_what_is_unnamed()
    return Summary(users, errors)


def _records(recommender: Recommender, entries: Sequence[Entry], top: int | None) -> list[dict[str, Any]]:
    """Return what is written of some users, who are ranked together."""
    parsed = [_parsed(entry) for entry in entries]
    found = iter(recommender.recommend_many([one for one in parsed if not isinstance(one, HistoryError)], top))
    records: list[dict[str, Any]] = []
    for entry, history in zip(entries, parsed, strict=True):
        record: dict[str, Any] = {"line": entry.line}
        if entry.user is not None:
            record["user"] = entry.user
        result = history if isinstance(history, HistoryError) else next(found)
        if isinstance(result, HistoryError):
            record["error"] = result.sentence
        else:
            record |= {"dataset": result.dataset, "items": result.as_json(), "unknown": result.unknown}
            if result.ambiguous:
                record["ambiguous"] = [one.as_json() for one in result.ambiguous]
        records.append(record)
    return records


def _parsed(entry: Entry) -> list[HistoryEntry] | HistoryError:
    if entry.fault:
        return HistoryError(f"line {entry.line} {entry.fault}.")
    try:
        return parse_history(entry.history, f"line {entry.line}")
    except HistoryError as error:
        return error
