"""When two JSON texts say the same. Pure."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


class _Number(str):
    """A number of a JSON text, in the one form that all numbers of its value have."""


def canonical_json(text: str) -> str:
    """Return a form of a JSON text that two have in common where, and only where, their values are the same.

    Order of names and spaces do not matter; 1.0, 1 and 10e-1 are the same number. A text that is no JSON is
    the same only as itself.
    """
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number)
    except (ValueError, RecursionError):
        return f"no JSON: {text}"
    return json.dumps(_marked(value), sort_keys=True)


def _number(text: str) -> _Number:
    sign, digits, exponent = Decimal(text).as_tuple()
    written = "".join(map(str, digits))
    significant = written.strip("0")
    if not significant:
        return _Number("0")
    power = int(exponent) + len(written) - len(written.rstrip("0"))
    return _Number(f"{'-' if sign else ''}{significant}e{power}")


def _marked(value: Any) -> Any:
    """Keep numbers, which are written as texts, apart from texts."""
    if isinstance(value, dict):
        return {name: _marked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_marked(item) for item in value]
    if isinstance(value, _Number):
        return f"number {value}"
    return f"text {value}" if isinstance(value, str) else value
