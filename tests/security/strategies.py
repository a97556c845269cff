"""What fuzzed parsers are given: any JSON, and documents with one part of them damaged. Shared by tests."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies

NUMBERS = strategies.one_of(
    strategies.integers(),
    strategies.sampled_from([0, -1, 2**31, 2**63 - 1, -(2**63), 2**64, 10**30, 10**400]),
    strategies.floats(),
)
TEXTS = strategies.one_of(
    strategies.text(max_size=20),
    strategies.sampled_from(["", "null", "-", "infinity", "\x00", "\ud800", "../..", "é" * 300, "9" * 50]),
)
SCALARS = strategies.one_of(strategies.none(), strategies.booleans(), NUMBERS, TEXTS)
JSON = strategies.recursive(
    SCALARS,
    lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
# Deeper than any parser that calls itself can follow.
DEEP = strategies.sampled_from([b"[" * 200_000, b'{"a":' * 200_000, b"[" * 200_000 + b"]" * 200_000])


def as_bytes(value: Any) -> bytes:
    """Return a value as JSON, as another program would write it."""
    return json.dumps(value).encode()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


@strategies.composite
def damaged(draw: strategies.DrawFn, *documents: Any) -> Any:
    """One of the documents, in up to three places replaced by anything, or with something left out."""
    document = copy.deepcopy(draw(strategies.sampled_from(documents)))
    for _ in range(draw(strategies.integers(0, 3))):
        *path, last = draw(strategies.sampled_from(_places(document)[1:] or [(None,)]))
        if last is None:
            return document
        parent = document
        for key in path:
            parent = parent[key]
        if draw(strategies.booleans()):
            parent[last] = draw(JSON)
        else:
            del parent[last]
    return document


@strategies.composite
def broken_text(draw: strategies.DrawFn, *documents: Any) -> bytes:
    """The bytes of a damaged document, cut off or with bytes in it that are not its own."""
    text = as_bytes(draw(damaged(*documents)))
    where = draw(strategies.integers(0, len(text)))
    return draw(strategies.sampled_from([text, text[:where]])) + draw(strategies.binary(max_size=8))
