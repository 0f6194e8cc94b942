"""`recommend --input`: recommendations for a file of users, one record each, in order, resumable.

Records are read a few at a time, ranked, and appended to `OUTPUT.partial`, one JSON line each; memory does not grow
with the file. When all are done, that becomes the output, in the form its name asks for. A run that was killed left
whole lines, and at most one torn one, which is dropped: `resume` goes on behind the last whole line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import polars as pl
from filelock import FileLock, Timeout

from llamarec_cli import strict_json
from llamarec_cli.data.histories import HistoryEntry, parse_history
from llamarec_cli.data.user_files import STANDARD, Entry, check_source, count_entries, read_entries
from llamarec_cli.errors import HistoryError, LlamaRecError, UsageError
from llamarec_cli.pipeline.context import Context
from llamarec_cli.pipeline.list_files import finish, lines_of
from llamarec_cli.pipeline.recommender import Recommender
from llamarec_cli.progress import Progress

_FORMS = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class Summary:
    """What became of a file.

    Attributes:
        users: Records written, of this run and, with `resume`, of the earlier ones.
        errors: How many of them hold an error instead of a list.
    """

    users: int
    errors: int


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
    if STANDARD not in (source, output) and output.exists() and source.samefile(output):
        raise UsageError(f"{output} is the input as well.", "Give another --output.")
    partial = output.with_name(output.name + ".partial")
    if output == STANDARD:
        if resume:
            raise UsageError("--resume needs an output in a file.", "Give --output FILE.")
    else:
        if resume and output.exists() and not partial.exists():
            summary = _complete(output, source)
            context.say(f"{output} is complete, a record for each of the input; --replace makes it anew.")
            return summary
        _check_output(output, partial, resume=resume, replace=replace)
    recommender = load()
    recommender.length(top)
    recommender.load_for_file()
    if output == STANDARD:
        return _run(context, recommender, source, sys.stdout, top, Summary(0, 0))
    try:
        with FileLock(partial.with_name(partial.name + ".lock"), timeout=0):
            recipe = json.dumps(recommender.recipe(top), sort_keys=True)
            if resume:
                _check_recipe(partial, recipe)
            done = _whole_lines(partial, source) if resume else Summary(0, 0)
            _recipe_of(partial).write_text(recipe, encoding="utf-8")
            with partial.open("a" if resume else "w", encoding="utf-8") as stream:
                summary = _run(context, recommender, source, stream, top, done)
                stream.flush()
                os.fsync(stream.fileno())
            finish(partial, output)
    except Timeout as error:
        raise LlamaRecError(
            f"Another process is writing {output}.", "Wait for it, or give another --output."
        ) from error
    except OSError as error:
        raise LlamaRecError(
            f"{error.filename or partial} cannot be used ({error.strerror}).",
            "Make room or another --output, then --resume.",
        ) from error
    _recipe_of(partial).unlink(missing_ok=True)
    partial.with_name(partial.name + ".lock").unlink(missing_ok=True)
    return summary


def _check_output(output: Path, partial: Path, *, resume: bool, replace: bool) -> None:
    """Refuse an output that would destroy something, or that has no folder to lie in.

    Where both files are there, a run was killed between its last two steps, and resuming it repeats them.
    """
    if output.exists() and not replace and not (resume and partial.exists()):
        raise LlamaRecError(f"{output} is there already.", "Give another --output, or --replace to overwrite it.")
    if not output.parent.is_dir():
        raise LlamaRecError(f"There is no folder {output.parent}.", "Make it, or give another --output.")
    if partial.exists() and not resume and not replace:
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


def _recipe_of(partial: Path) -> Path:
    """Return the file beside an unfinished output that tells what it is made with."""
    return partial.with_name(partial.name + ".recipe")


def _check_recipe(partial: Path, recipe: str) -> None:
    """Refuse to go on with what was begun in another way: one file, one way.

    Raises:
        LlamaRecError: It was begun with another ranker or other options.
    """
    begun = _recipe_of(partial)
    if partial.is_file() and begun.is_file() and begun.read_text(encoding="utf-8") != recipe:
        raise LlamaRecError(
            f"{partial} was begun with another ranker or other options.",
            "Give those again, or --replace to start anew.",
        )


def _whole_lines(partial: Path, source: Path) -> Summary:
    """Cut a torn line off the end of what an interrupted run wrote, and count what is whole.

    Raises:
        LlamaRecError: What is there was not made from this source.
    """
    if not partial.is_file():
        return Summary(0, 0)
    users, errors, whole = 0, 0, 0
    entries = read_entries(source)
    with partial.open("rb+") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            errors += _is_error(partial, line, next(entries, None))
            users += 1
        stream.truncate(whole)
    return Summary(users, errors)


def _is_error(partial: Path, line: bytes, entry: Entry | None) -> bool:
    """Tell whether a written record holds an error, after checking that it is this entry's."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if entry is None or not isinstance(record, dict) or record.get("line") != entry.line:
        raise LlamaRecError(
            f"{partial} does not fit the input: it was written from another one, or changed.",
            "Give the input it was written from, or --replace to start anew.",
        )
    return "error" in record
