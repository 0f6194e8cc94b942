"""One format is detected for a whole column."""

from datetime import UTC, datetime

import polars as pl
import pytest

from llamarec_cli.data.timestamps import MICROSECONDS, read_timestamps
from llamarec_cli.errors import UsageError


def read(*values: object, form: str | None = None) -> tuple[list[datetime | None], str]:
    frame = pl.DataFrame({"time": list(values)}, strict=False).lazy()
    timestamps = read_timestamps(frame, "time", form)
    found = timestamps.frame.collect()[MICROSECONDS]
    return [None if one is None else datetime.fromtimestamp(one / 1e6, UTC) for one in found], timestamps.form


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-10-01 00:00:38 UTC", at(2019, 10, 1, 0, 0, 38)),
        ("2019-10-01 00:00:38 GMT", at(2019, 10, 1, 0, 0, 38)),
        ("2019-10-01 00:00:38+00", at(2019, 10, 1, 0, 0, 38)),
        ("2019-10-01 00:00:38 +0000", at(2019, 10, 1, 0, 0, 38)),
        ("2019-10-01T02:00:38+02", at(2019, 10, 1, 0, 0, 38)),
        ("2019-09-30T18:30:38-05:30", at(2019, 10, 1, 0, 0, 38)),
        ("2019-10-01t00:00:38z", at(2019, 10, 1, 0, 0, 38)),
        ("2019/10/01 00:00:38", at(2019, 10, 1, 0, 0, 38)),
        ("31/12/2024", at(2024, 12, 31)),
        ("31.12.2024 10:00", at(2024, 12, 31, 10)),
        ("12/31/2024", at(2024, 12, 31)),
        ("12/31/2024, 10:00:05 PM", at(2024, 12, 31, 22, 0, 5)),
        ("31-Dec-2024", at(2024, 12, 31)),
        ("31 Dec 2024 10:00", at(2024, 12, 31, 10)),
        ("December 31, 2024", at(2024, 12, 31)),
        ("Tue, 31 Dec 2024 10:00:00 GMT", at(2024, 12, 31, 10)),
        ("Tue, 31 Dec 2024 10:00:00 +0100", at(2024, 12, 31, 9)),
        ("Tue Dec 31 10:00:00 2024", at(2024, 12, 31, 10)),
        ("20241231", at(2024, 12, 31)),
        ("20241231235959", at(2024, 12, 31, 23, 59, 59)),
        ("1735603200", at(2024, 12, 31)),
        ("1735603200.0", at(2024, 12, 31)),
        ("1735603200000", at(2024, 12, 31)),
    ],
)
def test_usual_formats(text: str, expected: datetime) -> None:
    assert read(text)[0] == [expected]
    assert read(f" {text} ", None)[0] == [expected, None]


def test_one_value_decides_the_order_of_day_and_month() -> None:
    assert read("03/04/2024", "31/12/2024", "05/06/2024") == (
        [at(2024, 4, 3), at(2024, 12, 31), at(2024, 6, 5)],
        "day/month/year",
    )
    assert read("03/04/2024", "12/31/2024")[0] == [at(2024, 3, 4), at(2024, 12, 31)]


def test_ambiguous_dates_are_refused_with_both_formats() -> None:
    with pytest.raises(UsageError) as caught:
        read("03/04/2024 10:00", "05/06/2024 11:30")
    assert "03/04/2024 10:00 may be either" in caught.value.sentence
    for form, expected in (("%d/%m/%Y %H:%M", at(2024, 4, 3, 10)), ("%m/%d/%Y %H:%M", at(2024, 3, 4, 10))):
        assert form in (caught.value.hint or "")
        assert read("03/04/2024 10:00", form=form) == ([expected], form)
    # Where both ways give the same days there is nothing to tell.
    assert read("03/03/2024", "05/05/2024")[0] == [at(2024, 3, 3), at(2024, 5, 5)]


def test_the_most_frequent_format_is_used_and_other_values_are_null() -> None:
    assert read("1700000000000", "1700000001000", "1700000002") == (
        [at(2023, 11, 14, 22, 13, 20), at(2023, 11, 14, 22, 13, 21), None],
        "milliseconds since 1970",
    )
    assert read("31/12/2024", "30/12/2024", "12/29/2024")[0] == [at(2024, 12, 31), at(2024, 12, 30), None]
    assert read("2024-12-31", "2024-12-31 10:00", "1735603200")[0] == [at(2024, 12, 31), at(2024, 12, 31, 10), None]
    assert read("20241231", "20241232")[1] == "seconds since 1970"  # a counter, not days


@pytest.mark.parametrize("values", [(1_700_000_000, 1_700_000_001), (1_700_000_000.0, 1_700_000_001.0)])
def test_numeric_and_date_columns(values: tuple[float, float]) -> None:
    assert read(*values) == ([at(2023, 11, 14, 22, 13, 20), at(2023, 11, 14, 22, 13, 21)], "seconds since 1970")
    assert read(20241231, 20240229) == ([at(2024, 12, 31), at(2024, 2, 29)], "yearmonthday")
    assert read(at(2024, 12, 31), at(2024, 12, 30)) == ([at(2024, 12, 31), at(2024, 12, 30)], "dates")


@pytest.mark.parametrize("text", ["noon", "31/12/24", "2024-13-01", "24-12-31", "10" * 15, "nan", "-", ""])
def test_other_text_is_null(text: str) -> None:
    assert read(text) == ([None], "")


def test_a_given_format() -> None:
    assert read("31/12/24 10:00 +0100", form="%d/%m/%y %H:%M %z")[0] == [at(2024, 12, 31, 9)]
    assert read("2024", form="%")[0] == [None]


def test_a_format_that_polars_advises_against_gives_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    read("1.5", "2.5", form="%f")
    assert not recwarn.list
