"""How `lakebed tail` is told where to begin and which keys to show. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from lakebed.cli.json_output import plain

if TYPE_CHECKING:
    from lakebed.cdc.tailing import Start

STARTS = ("beginning", "end")
_AGO = re.compile(r"(\d{1,9})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LAST = re.compile(r"-([1-9]\d{0,8})")
_MEANT = (
    "'beginning', 'end', '-10' for the last ten of each partition, '90s', '10m', '2h' or '1d' for so long"
    " ago, or a time such as 2026-01-31T12:00:00Z"
)


def start_of(text: str, now: datetime) -> Start:
    """Return where `--from` says to begin.

    Args:
        text: as it was written.
        now: aware of its time zone.

    Raises:
        ValueError: it says nothing that is known; the text says what would.
    """
    from lakebed.cdc.tailing import BEGINNING, END, Start

    if text in STARTS:
        return BEGINNING if text == "beginning" else END
    last, ago = _LAST.fullmatch(text), _AGO.fullmatch(text)
    try:
        if last is not None:
            return Start(last=int(last[1]))
        if ago is not None:
            return Start(since=now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        # Before Python 3.11 "Z" is not known.
        at = datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
        return Start(since=at if at.tzinfo is not None else at.astimezone())
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no place to begin; write {_MEANT}") from None


@dataclass(frozen=True)
class KeyFilter:
    """Which keys are shown: those to which everything that was asked for applies.

    Attributes:
        asked: each a value, which any column may have, or `COLUMN=VALUE`.
    """

    asked: tuple[str, ...] = ()

    def lets_through(self, key: Any) -> bool:
        """Whether a message with this key, decoded, is shown."""
        return all(_applies(one, key) for one in self.asked)


def _applies(asked: str, key: Any) -> bool:
    if not isinstance(key, Mapping):
        return key is not None and asked in _texts(key)
    column, separator, value = asked.partition("=")
    if separator and column in key:
        return value in _texts(key[column])
    return any(asked in _texts(item) for item in key.values())


def _texts(value: Any) -> Sequence[str]:
    """Return how a value may be written: as it is, and as in JSON."""
    told = plain(value)
    written = json.dumps(told, ensure_ascii=False)
    return (told, written) if isinstance(told, str) else (written,)


def utc_now() -> datetime:
    """Return the time, aware of its time zone."""
    return datetime.now(timezone.utc)
