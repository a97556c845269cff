"""Lines of servers' logs: when each was written, and several logs as one. Pure.

Every server has a form of its own: `2026-01-31 12:00:00.123 UTC [42] LOG:` (PostgreSQL), `[2026-01-31
12:00:00,123] INFO` (Kafka and Connect), `2026-01-31 12:00:00,123 INFO` (Apicurio, Iceberg's catalog) and
`I0131 12:00:00.123456 main.go:1` (SeaweedFS, in the form of Google's glog, which knows no year).
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

_ISO = re.compile(
    r"\[?(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b)?"
)
_GLOG = re.compile(r"[IWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) ")
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class LogLine:
    """A line of a log.

    Attributes:
        service: whose.
        text: without its end of line.
        at: when it was written, in UTC; None where it does not say.
    """

    service: str
    text: str
    at: datetime | None = None


def time_of_line(text: str, local: tzinfo | None = None, now: datetime | None = None) -> datetime | None:
    """Return when a line says it was written, in UTC; None if it does not.

    Args:
        text: the line.
        local: the time zone of lines that name none; None for that of this machine.
        now: for the year of lines that name none; None for now.
    """
    try:
        found = _ISO.match(text)
        if found is not None:
            year, month, day, hour, minute, second, fraction, zone = found.groups()
            written = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
            written += timedelta(microseconds=int((fraction or "").ljust(6, "0")[:6]))
            return _in_utc(written, _zone(zone) or local)
        found = _GLOG.match(text)
        if found is not None:
            month, day, hour, minute, second, microsecond = map(int, found.groups())
            latest = (now or datetime.now(timezone.utc)) + timedelta(days=1)
            written = datetime(latest.year, month, day, hour, minute, second, microsecond)
            at = _in_utc(written, local)
            return at if at <= latest else _in_utc(written.replace(year=latest.year - 1), local)
    except ValueError:
        # Digits that are no date: the 30th of February.
        return None
    return None


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text[0] not in "+-":
        return timezone.utc
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _in_utc(written: datetime, zone: tzinfo | None) -> datetime:
    return (written if zone is None else written.replace(tzinfo=zone)).astimezone(timezone.utc)


def log_lines(service: str, texts: Iterable[str]) -> Iterator[LogLine]:
    """Return the lines of a log with their times."""
    for text in texts:
        yield LogLine(service, text, time_of_line(text))


def merged(logs: Mapping[str, Iterable[LogLine]]) -> Iterator[LogLine]:
    """Return the lines of several logs by time; the order within each log stays.

    A line without a time, such as one of a stack trace, belongs to the one before it.
    """

    def keyed(order: int, lines: Iterable[LogLine]) -> Iterator[tuple[datetime, int, int, LogLine]]:
        latest = _LONG_AGO
        for number, line in enumerate(lines):
            # A clock that was set back does not tear a log apart.
            latest = max(latest, line.at or latest)
            yield latest, order, number, line

    for *_, line in heapq.merge(*(keyed(order, lines) for order, lines in enumerate(logs.values()))):
        yield line
