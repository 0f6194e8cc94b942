"""Parsing of timestamps into microseconds since 1970: dates, numbers of any unit, text in the usual formats.

One format is detected for a whole column: `31/12/2024` decides how `3/4/2024` is read, and a number of seconds among
milliseconds is invalid. Values in any other format are null.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from llamarec_cli.data.columns import MISSING
from llamarec_cli.errors import UsageError

# Ranges of absolute values (above, up to), ticks per second and name: read as seconds, 10**11 is in the year 5138.
_UNITS = (
    (0, 10**11, 1, "seconds since 1970"),
    (10**11, 10**14, 10**3, "milliseconds since 1970"),
    (10**14, 10**17, 10**6, "microseconds since 1970"),
    (10**17, 10**20, 10**9, "nanoseconds since 1970"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p")
_NOON = r"(?i)[ap]m$"
_OFFSET = r"(:\d{2}(?:\.\d+)?) ?([+-])(\d{2}):?(\d{2})?$"
_YEAR_FIRST = "year-month-day"
_DAY_FIRST, _MONTH_FIRST = "day/month/year", "month/day/year"

# Internal columns for intermediate results.
_TEXT, _PLAIN, _NAMED = "\x00text", "\x00plain", "\x00named"
MICROSECONDS = "\x00microseconds"


@dataclass(frozen=True)
class Timestamps:
    """A parsed column of timestamps.

    Attributes:
        frame: The table with a column `MICROSECONDS` since 1970, null for values in another format.
        form: Name of the format; empty if no value could be parsed.
    """

    frame: pl.LazyFrame
    form: str


def read_timestamps(frame: pl.LazyFrame, column: str, given: str | None = None) -> Timestamps:
    """Parse a column of timestamps in the format that fits most of its values.

    Args:
        frame: The table.
        column: Name of the column.
        given: A format such as `%d/%m/%Y %H:%M`; None detects it.

    Raises:
        UsageError: Day and month are ambiguous in all values.
    """
    kind = frame.collect_schema()[column]
    value = pl.col(column)
    if kind.is_temporal() and given is None:
        return _read(frame, value.cast(pl.Datetime("us")).dt.epoch("us"), "dates")
    frame = frame.with_columns(value.cast(pl.String).str.strip_chars().alias(_TEXT))
    text = pl.col(_TEXT)
    if given is not None:
        with warnings.catch_warnings():
            # A format that polars advises against is judged by the values that it matches, as any other.
            warnings.simplefilter("ignore", pl.exceptions.ChronoFormatWarning)
            parsed = text.str.to_datetime(given, strict=False, time_unit="us")
        return _read(frame, parsed.dt.epoch("us"), given)
    number = (
        value
        if kind.is_numeric()
        else pl.coalesce(text.cast(pl.Int64, strict=False), text.cast(pl.Float64, strict=False))
    )
    present = text.is_not_null() & ~text.is_in(list(MISSING))
    (total,) = frame.select(present.sum()).collect().row(0)
    forms = {name: _of_unit(number, *unit) for *unit, name in _UNITS}
    counts = _counts(frame, forms)
    if counts[_UNITS[0][-1]] + counts[_UNITS[1][-1]] == total:
        # 20241231 is a date if all values are; as seconds, dates of the years 1900 to 2099 would all be in August 1970.
        days = {"yearmonthday": _compact(text)}
        if _counts(frame, days)["yearmonthday"] == total:
            forms = days
            counts = {"yearmonthday": total}
    if max(counts.values()) < total:
        (noons,) = frame.select(text.str.contains(_NOON).any()).collect().row(0)
        clocks = [clock for clock in _CLOCKS if noons or "%p" not in clock]
        frame = frame.with_columns(_plain(text).alias(_PLAIN))
        others = {_YEAR_FIRST: _read_text(_PLAIN, r"^\d{4}-", ["%Y-%m-%d"], clocks)}
        counts |= _counts(frame, others)
        if counts[_YEAR_FIRST] < total:
            frame = frame.with_columns(_plain_month_names(text).alias(_NAMED))
            others |= _other_forms(clocks)
            counts |= _counts(frame, others)
            _refuse_ambiguous(frame, column, others, counts)
        forms |= others
    best = max(forms, key=lambda name: counts[name])
    return _read(frame, forms[best], best if counts[best] else "")


def _read(frame: pl.LazyFrame, microseconds: pl.Expr, form: str) -> Timestamps:
    return Timestamps(frame.with_columns(microseconds.alias(MICROSECONDS)), form)


def _counts(frame: pl.LazyFrame, forms: Mapping[str, pl.Expr]) -> dict[str, int]:
    """Count the values that each format parses."""
    read = [expression.is_not_null().sum().alias(name) for name, expression in forms.items()]
    return frame.select(read).collect().row(0, named=True)


def _of_unit(number: pl.Expr, above: int, limit: int, ticks: int) -> pl.Expr:
    """Convert numbers of one unit to microseconds; null for numbers out of its range."""
    size = number.abs()
    fits = (size <= limit) & (size > above) if above else size <= limit
    return pl.when(fits).then((number * (1_000_000 / ticks)).cast(pl.Int64, strict=False))


def _compact(text: pl.Expr) -> pl.Expr:
    """Parse `20241231` and `20241231235959`."""
    day = pl.when(text.str.contains(r"^(?:19|20)\d{6}$")).then(text.str.to_datetime("%Y%m%d", strict=False))
    second = pl.when(text.str.contains(r"^(?:19|20)\d{12}$")).then(text.str.to_datetime("%Y%m%d%H%M%S", strict=False))
    return pl.coalesce(day, second).dt.epoch("us")


def _plain(text: pl.Expr) -> pl.Expr:
    """Normalise text: no time zone or offset, one space between date and time, `-` in numeric dates."""
    text = text.str.replace(r"(?i) ?(?:UTC|GMT|Z)$", "").str.replace(_OFFSET, "$1")
    text = text.str.replace(r"^(\d{1,4})[/.-](\d{1,2})[/.-](\d{1,4})", "$1-$2-$3")
    return text.str.replace(r"^(\d[\d-]+\d),?[Tt ] *", "$1 ")


def _plain_month_names(text: pl.Expr) -> pl.Expr:
    """Normalise text with a month name: like `_plain`, without the day of the week, and the year before the time."""
    text = text.str.replace(r"(?i)^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? ", "").str.replace_all(r"[,. ]+ ?", " ")
    text = _plain(text.str.replace(r"^(\d{1,2})-([A-Za-z]+)-", "$1 $2 "))
    return text.str.replace(r"^([A-Za-z]+ \d{1,2}) ([\d:]+) (\d{4})$", "$1 $3 $2")


def _read_text(plain: str, must: str, dates: list[str], clocks: list[str]) -> pl.Expr:
    """Parse normalised text with any of the date and time formats, and apply the offset of the original text."""
    parsed = [
        pl.col(plain).str.to_datetime(date + clock, strict=False, time_unit="us") for clock in clocks for date in dates
    ]
    offset = pl.col(_TEXT).str.extract_groups(_OFFSET).struct
    minutes = offset[2].cast(pl.Int64) * 60 + offset[3].cast(pl.Int64).fill_null(0)
    ahead = pl.when(offset[1] == "-").then(-minutes).otherwise(minutes).fill_null(0)
    return pl.when(pl.col(plain).str.contains(must)).then(pl.coalesce(parsed).dt.epoch("us") - ahead * 60 * 1_000_000)


def _other_forms(clocks: list[str]) -> dict[str, pl.Expr]:
    """Return the parsers of formats other than year-month-day, by name."""
    must = r"^\d{1,2}-\d{1,2}-\d{4}(?: |$)"
    names = ["%d %b %Y", "%b %d %Y", "%d %B %Y", "%B %d %Y"]
    return {
        _DAY_FIRST: _read_text(_PLAIN, must, ["%d-%m-%Y"], clocks),
        _MONTH_FIRST: _read_text(_PLAIN, must, ["%m-%d-%Y"], clocks),
        "names of months": _read_text(_NAMED, r"[A-Za-z]{3}.* \d{4}(?: |$)", names, clocks),
    }


def _refuse_ambiguous(
    frame: pl.LazyFrame, column: str, forms: Mapping[str, pl.Expr], counts: Mapping[str, int]
) -> None:
    """Raise if all dates can be read both with the day and with the month first, with different results."""
    most = max(counts.values())
    if not (counts[_DAY_FIRST] == counts[_MONTH_FIRST] == most > 0):
        return
    differ = frame.filter(forms[_DAY_FIRST] != forms[_MONTH_FIRST]).select(pl.col(column)).head(1).collect()
    if differ.height:
        value = str(differ.item()).strip()
        raise UsageError(
            f"Day and month in {column} are ambiguous: {value} may be either.",
            f'Set `time_format` to "{_form_of(value, "%d", "%m")}" if the day comes first, '
            f'or to "{_form_of(value, "%m", "%d")}" if the month does.',
        )


def _form_of(value: str, first: str, second: str) -> str:
    """Return the format of a value, such as `%d/%m/%Y %H:%M`, with the given directives for day and month."""
    form = re.sub(r"^\d{1,2}([/.-])\d{1,2}([/.-])\d{4}", rf"{first}\g<1>{second}\g<2>%Y", value)
    hour = "%I" if re.search(r"(?i)[ap]m$", form) else "%H"
    form = re.sub(r"\d{1,2}:\d{2}(:\d{2})?", lambda clock: f"{hour}:%M" + (":%S" if clock[1] else ""), form)
    return re.sub(r"(?i)[ap]m$", "%p", re.sub(r"\.\d+", "%.f", re.sub(r"[+-]\d{2}:?\d{2}$", "%z", form)))
