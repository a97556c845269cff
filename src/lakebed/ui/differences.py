"""What differs between two schemas: line by line, and for Avro records field by field. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Side(Enum):
    """Where a line stands; the value is how it is marked."""

    BOTH = " "
    LEFT = "-"
    RIGHT = "+"


@dataclass(frozen=True)
class Line:
    """A line of a difference; `left` and `right` are its numbers from 1, None where it is not there."""

    side: Side
    text: str
    left: int | None
    right: int | None


def pretty(schema: str) -> str:
    """Return a schema as indented JSON; one that is no JSON (Protobuf) as it is."""
    try:
        return json.dumps(json.loads(schema), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return schema


def line_differences(left: str, right: str) -> tuple[Line, ...]:
    """Return all lines of both texts, those that both have once."""
    old, new = left.splitlines(), right.splitlines()
    lines: list[Line] = []
    for kind, old_begin, old_end, new_begin, new_end in difflib.SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if kind == "equal":
            pairs = zip(range(old_begin, old_end), range(new_begin, new_end), strict=True)
            lines += [Line(Side.BOTH, old[one], one + 1, two + 1) for one, two in pairs]
        else:
            lines += [Line(Side.LEFT, old[one], one + 1, None) for one in range(old_begin, old_end)]
            lines += [Line(Side.RIGHT, new[one], None, one + 1) for one in range(new_begin, new_end)]
    return tuple(lines)


def field_differences(left: str, right: str) -> tuple[str, ...]:
    """Return a sentence for each field that came, went or changed between two Avro schemas.

    Fields of nested records are named by their path. Nothing where a schema is no Avro record.
    """
    old, new = _fields_of(left), _fields_of(right)
    if not old or not new:
        return ()
    sentences = [f"{name} was removed" for name in old if name not in new]
    for name, field in new.items():
        if name not in old:
            default = f", default {json.dumps(field['default'])}" if "default" in field else ", no default"
            sentences.append(f"{name} was added: {_type_name(field['type'])}{default}")
            continue
        before = old[name]
        if (one := _type_name(before["type"])) != (two := _type_name(field["type"])):
            sentences.append(f"{name} changed its type from {one} to {two}")
        if before.get("default", _NONE) != field.get("default", _NONE):
            told = json.dumps(field["default"]) if "default" in field else "none"
            sentences.append(f"{name} changed its default to {told}")
    return tuple(sentences)


_NONE = object()


def _fields_of(schema: str) -> dict[str, Mapping[str, Any]]:
    try:
        return dict(_fields(json.loads(schema), "", frozenset()))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}


def _fields(kind: Any, path: str, inside: frozenset[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(kind, list):
        for branch in kind:
            yield from _fields(branch, path, inside)
    elif isinstance(kind, Mapping) and kind.get("type") == "record" and kind["name"] not in inside:
        for field in kind["fields"]:
            name = f"{path}{field['name']}"
            yield name, field
            yield from _fields(field["type"], f"{name}.", inside | {kind["name"]})
    elif isinstance(kind, Mapping) and kind.get("type") in ("array", "map"):
        yield from _fields(kind.get("items", kind.get("values")), path, inside)
    elif isinstance(kind, Mapping) and isinstance(kind.get("type"), (list, dict)):
        yield from _fields(kind["type"], path, inside)


def _type_name(kind: Any) -> str:
    if isinstance(kind, list):
        return " or ".join(_type_name(one) for one in kind)
    if not isinstance(kind, Mapping):
        return str(kind)
    inner = kind["type"]
    if inner == "record":
        return f"record {kind['name']}"
    if inner == "array":
        return f"array of {_type_name(kind['items'])}"
    if inner == "map":
        return f"map of {_type_name(kind['values'])}"
    name = kind.get("name") if inner in ("enum", "fixed") else kind.get("connect.name")
    logical = kind.get("logicalType") or name
    return f"{_type_name(inner)} ({logical})" if logical else _type_name(inner)
