"""Times as people write them down, as microseconds since 1970: dates, numbers of any unit, ISO text."""

from __future__ import annotations

import polars as pl

# Integers above these are milli-, micro- and nanoseconds since 1970: as seconds they lie beyond the year 5000.
_TICKS = ((10**17, 10**9), (10**14, 10**6), (10**11, 10**3))


def microseconds(column: str, kind: pl.DataType) -> pl.Expr:
    """Return a column as microseconds since 1970: from dates, from numbers of any unit, from ISO text."""
    value = pl.col(column)
    if kind.is_temporal():
        return value.cast(pl.Datetime("us")).dt.epoch("us")
    if kind.is_numeric():
        return _from_number(value)
    text = value.str.strip_chars()
    number = pl.coalesce(text.cast(pl.Int64, strict=False), text.cast(pl.Float64, strict=False))
    # An offset such as +01:00 is taken off the text and then off the time.
    offset = text.str.extract_groups(r"([+-])(\d{2}):?(\d{2})$")
    minutes = offset.struct[1].cast(pl.Int64) * 60 + offset.struct[2].cast(pl.Int64)
    ahead = pl.when(text.str.contains(r":\d{2}.*[+-]\d{2}:?\d{2}$")).then(
        pl.when(offset.struct[0] == "-").then(-minutes).otherwise(minutes)
    )
    iso = text.str.replace("T", " ").str.replace(r"Z$", "")
    iso = pl.when(ahead.is_null()).then(iso).otherwise(iso.str.replace(r"[+-]\d{2}:?\d{2}$", ""))
    moments = [
        iso.str.to_datetime(form, strict=False, time_unit="us")
        for form in ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
    ]
    return pl.coalesce(_from_number(number), pl.coalesce(moments).dt.epoch("us") - ahead.fill_null(0) * 60 * 1_000_000)


def _from_number(value: pl.Expr) -> pl.Expr:
    unit = pl.lit(1)
    for limit, ticks in reversed(_TICKS):
        unit = pl.when(value.abs() > limit).then(ticks).otherwise(unit)
    return (value * (1_000_000 / unit)).cast(pl.Int64, strict=False)
