"""Numbers and texts of Debezium as dates and times."""

from __future__ import annotations

from datetime import date, datetime, time, timezone

import pytest

from lakebed.cdc import event_times


@pytest.mark.parametrize("day", [date.min, date(1, 1, 2), date(1969, 12, 31), date(1970, 1, 1), date.max])
def test_a_date_is_so_many_days_after_1970_and_the_same_from_iso(day: date) -> None:
    assert event_times.date_of((day - date(1970, 1, 1)).days) == day
    assert event_times.iso_date(f"{day.isoformat()}Z") == day


@pytest.mark.parametrize(
    ("days", "text"),
    [
        # One day before and after what Python has; 400 years are always 146,097 days.
        ((date.min - date(1970, 1, 1)).days - 1, "0001-12-31 BC"),
        ((date.max - date(1970, 1, 1)).days + 1, "10000-01-01"),
        (-146097, date(1570, 1, 1)),
        (-146097 * 5, "0031-01-01 BC"),
        (146097 * 100, "41970-01-01"),
    ],
)
def test_beyond_python_a_date_is_the_text_of_postgresql(days: int, text: date | str) -> None:
    assert event_times.date_of(days) == text


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (event_times.time_of(0), time(0)),
        (event_times.time_of(86_399_999_999), time.max),
        (event_times.time_of(86_400_000_000), "24:00:00"),
        # MariaDB's TIME is a span, too.
        (event_times.time_of(-1), "-00:00:00.000001"),
        (event_times.time_of(-3_020_399_000_000), "-838:59:59"),
        (event_times.time_of(90_061_500_000), "25:01:01.500000"),
        (event_times.iso_time("10:11:12.5Z"), time(10, 11, 12, 500000)),
        (event_times.zoned_time("08:11:12.123456Z"), time(8, 11, 12, 123456, timezone.utc)),
        (event_times.zoned_time("08:11+02:00"), time(6, 11, tzinfo=timezone.utc)),
        (event_times.zoned_time("23:30:00-05:00"), time(4, 30, tzinfo=timezone.utc)),
    ],
)
def test_times(found: object, expected: object) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (event_times.timestamp_of(-1), datetime(1969, 12, 31, 23, 59, 59, 999999)),
        (event_times.nanosecond_timestamp_of(-1), datetime(1969, 12, 31, 23, 59, 59, 999999)),
        (event_times.nanosecond_timestamp_of(2**63 - 1), "infinity"),
        (event_times.nanosecond_timestamp_of(-(2**63)), "-infinity"),
        (event_times.iso_timestamp("9999-12-31T23:59:59.999999Z"), datetime.max),
        (event_times.iso_timestamp("+10000-01-01T00:00:00.1200Z"), "10000-01-01 00:00:00.12"),
        (event_times.iso_timestamp("0000-02-29T12:00:00Z"), "0001-02-29 12:00:00 BC"),
        (event_times.instant_of("0001-01-01T00:00:00Z"), datetime(1, 1, 1, tzinfo=timezone.utc)),
        (
            event_times.instant_of("2024-03-31T02:30:00+02:00"),
            datetime(2024, 3, 31, 0, 30, tzinfo=timezone.utc),
        ),
        (event_times.instant_of("-0043-03-15T12:00:00Z"), "0044-03-15 12:00:00+00 BC"),
        (event_times.instant_of("-infinity"), "-infinity"),
    ],
)
def test_time_stamps(found: object, expected: object) -> None:
    assert found == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01Z", "2024-02-30Z", "12"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ISO 8601|month|day"):
        event_times.iso_date(text)
