"""Dates and times of PostgreSQL as Python's; what Python has no value for, as PostgreSQL's own text. Pure.

PostgreSQL knows infinity, years before Christ, years after 9999 and the time 24:00, Python does not. Those
become what `SELECT value::text` shows in the time zone UTC.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone

_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1)
_FIRST, _LAST = date.min.toordinal() - date(1970, 1, 1).toordinal(), date.max.toordinal() - 719163

# How an infinite value leaves Debezium 3.6.3: pgjdbc's `PGStatement.DATE_POSITIVE_INFINITY` and
# `DATE_NEGATIVE_INFINITY`, in part after an overflow. PostgreSQL has no such date and time otherwise.
_INFINITE_DAYS = {
    # From the log, from a snapshot, and from a snapshot with `time.precision.mode=isostring`.
    **{-2147472692: "infinity", -622191234: "infinity", 106751991166: "infinity"},
    **{-2147472691: "-infinity", -625821272: "-infinity", 106748361128: "-infinity"},
}
_INFINITE_MICROSECONDS = {
    9223372036825200000: "infinity",
    -9223372036832400000: "-infinity",
    # In an array of `timestamptz`.
    106748361128 * _DAY + 82_800_000_000: "-infinity",
}
_INFINITE_NANOSECONDS = {2**63 - 1: "infinity", -(2**63): "-infinity"}

_ISO = re.compile(
    r"(?:([+-]?\d+)-(\d\d)-(\d\d))?T?(?:(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:\d\d)?"
)


def date_of(days: int) -> date | str:
    """Return the date that is so many days after 1970-01-01."""
    if days in _INFINITE_DAYS:
        return _INFINITE_DAYS[days]
    return date.fromordinal(719163 + days) if _FIRST <= days <= _LAST else _with_era(*_civil(days), "")


def time_of(microseconds: int) -> time | str:
    """Return the time that is so many microseconds after midnight.

    What is no time of a day, MariaDB's TIME may be: "-838:59:59".
    """
    if not 0 <= microseconds < _DAY:
        seconds, fraction = divmod(abs(microseconds), 1_000_000)
        text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        return f"{'-' if microseconds < 0 else ''}{text}" + (f".{fraction:06d}" if fraction else "")
    return (_EPOCH + timedelta(microseconds=microseconds)).time()


def timestamp_of(microseconds: int) -> datetime | str:
    """Return the time stamp, without a zone, that is so many microseconds after 1970."""
    return _timestamp(microseconds, "")


def nanosecond_timestamp_of(nanoseconds: int) -> datetime | str:
    """Return the time stamp, without a zone, that is so many nanoseconds after 1970."""
    return _INFINITE_NANOSECONDS.get(nanoseconds) or _timestamp(nanoseconds // 1000, "")


def instant_of(text: str) -> datetime | str:
    """Return an instant, in UTC, from ISO 8601 ("-0043-03-15T12:00:00Z") or "infinity"."""
    if text.endswith("infinity"):
        return text
    found = _timestamp(_iso_microseconds(text), "+00")
    return found if isinstance(found, str) else found.replace(tzinfo=timezone.utc)


def iso_date(text: str) -> date | str:
    """Return the date of "2024-02-29Z", as `time.precision.mode=isostring` sends it."""
    return date_of(_iso_microseconds(text) // _DAY)


def iso_time(text: str) -> time | str:
    """Return the time of "23:59:59.123456Z", without a zone."""
    return time_of(_iso_microseconds(text))


def iso_timestamp(text: str) -> datetime | str:
    """Return the time stamp of "2024-03-31T02:30:00.123456Z", without a zone."""
    return timestamp_of(_iso_microseconds(text))


def zoned_time(text: str) -> time | str:
    """Return the time of "08:11:12.123456Z" in UTC, which is what Debezium makes of any zone."""
    found = time_of(_iso_microseconds(text) % _DAY)
    return found if isinstance(found, str) else found.replace(tzinfo=timezone.utc)


def _timestamp(microseconds: int, zone: str) -> datetime | str:
    if microseconds in _INFINITE_MICROSECONDS:
        return _INFINITE_MICROSECONDS[microseconds]
    days, rest = divmod(microseconds, _DAY)
    if _FIRST <= days <= _LAST:
        return _EPOCH + timedelta(days=days, microseconds=rest)
    clock = (_EPOCH + timedelta(microseconds=rest)).time().isoformat()
    # As PostgreSQL writes it: no zeros at the end of a fraction.
    return _with_era(*_civil(days), f" {clock.rstrip('0') if '.' in clock else clock}{zone}")


def _iso_microseconds(text: str) -> int:
    found = _ISO.fullmatch(text)
    if found is None or not text:
        raise ValueError(f"{text!r} is no date or time in ISO 8601")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    total = 0 if year is None else _days(int(year), int(month), int(day)) * _DAY
    seconds = int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    if zone is not None and zone != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds -= -offset if zone[0] == "-" else offset
    return total + seconds * 1_000_000 + int((fraction or "").ljust(6, "0")[:6])


def _with_era(year: int, month: int, day: int, rest: str) -> str:
    text = f"{year if year > 0 else 1 - year:04d}-{month:02d}-{day:02d}{rest}"
    return text if year > 0 else f"{text} BC"


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day; year 0 is 1 BC. Gregorian at all times, as PostgreSQL counts."""
    # 400 years repeat, so the day is found in a year that Python has.
    cycles, left = divmod(days + 719162, 146097)
    inside = date.fromordinal(left + 1)
    return inside.year + cycles * 400, inside.month, inside.day


def _days(year: int, month: int, day: int) -> int:
    cycles, inside = divmod(year - 1, 400)
    return date(inside + 1, month, day).toordinal() - 719163 + cycles * 146097
