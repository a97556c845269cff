"""Values as a person reads them: in the cell of a table, or as indented JSON. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

LONGEST_CELL = 120
_SHOWN_BYTES = 256


def cell(value: Any, longest: int = LONGEST_CELL) -> str:
    """Return a value in one line: a text without quotes, anything else as JSON; cut where it is too long."""
    shown = plain(value)
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    text = text.replace("\n", "⏎ ")
    return text if len(text) <= longest else f"{text[:longest]}…"


def indented(value: Any) -> str:
    """Return a value as JSON over several lines."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return a value of which JSON can be made.

    Numbers stay numbers, decimals and times become texts with all their digits, bytes become base64, and
    what stands for a missing value its name.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        # JSON has neither NaN nor Infinity.
        return value if value - value == 0 else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes(bytes(value))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, timedelta)):
        return str(value)
    return repr(value)


def _bytes(content: bytes) -> str:
    shown = base64.b64encode(content[:_SHOWN_BYTES]).decode()
    more = len(content) - _SHOWN_BYTES
    return f"base64:{shown}" + (f"… and {more} bytes" if more > 0 else "")
