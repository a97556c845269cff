"""Where `lakebed tail` begins, which keys it shows, and which topics a pattern means."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from lakebed.cdc.tailing import BEGINNING, END, Start, is_pattern, matching
from lakebed.cli.tail_arguments import KeyFilter, start_of

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", BEGINNING),
        ("end", END),
        ("-10", Start(last=10)),
        ("90s", Start(since=NOW - timedelta(seconds=90))),
        ("10m", Start(since=NOW - timedelta(minutes=10))),
        ("2h", Start(since=NOW - timedelta(hours=2))),
        ("1d", Start(since=NOW - timedelta(days=1))),
        ("2026-01-31T10:00:00Z", Start(since=NOW - timedelta(hours=2))),
        ("2026-01-31T11:00:00+01:00", Start(since=NOW - timedelta(hours=2))),
        ("2026-01-31 10:00", Start(since=datetime(2026, 1, 31, 10).astimezone())),
    ],
)
def test_places_to_begin(text: str, start: Start) -> None:
    assert start_of(text, NOW) == start


@pytest.mark.parametrize("text", ["", "start", "-0", "10", "10y", "2026-13-01", "999999999d", "--10"])
def test_what_is_no_place_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="'beginning', 'end'"):
        start_of(text, NOW)


@pytest.mark.parametrize(
    ("asked", "key", "is_shown"),
    [
        ((), None, True),
        (("5",), {"id": 5}, True),
        (("5",), {"id": 55}, False),
        (("id=5",), {"id": 5}, True),
        (("number=5",), {"id": 5}, False),
        (("5", "eu"), {"id": 5, "region": "eu"}, True),
        (("id=5", "region=us"), {"id": 5, "region": "eu"}, False),
        # No column is called so: it is a value.
        (("a=b",), {"id": "a=b"}, True),
        (("2026-01-31",), {"day": date(2026, 1, 31)}, True),
        (("0.10",), {"price": Decimal("0.10")}, True),
        (("true",), {"flag": True}, True),
        (('"x"',), {"id": "x"}, True),
        (("plain",), "plain", True),
        (("plain",), "other", False),
        (("5",), None, False),
        (("7",), 7, True),
        (("AP8=",), b"\x00\xff", True),
    ],
)
def test_keys(asked: tuple[str, ...], key: Any, is_shown: bool) -> None:
    assert KeyFilter(asked).lets_through(key) is is_shown


def test_patterns_and_names() -> None:
    there = ["_schemas", "__consumer_offsets", "shop.public.orders", "shop.public.items", "other", "shop"]
    assert matching(there, ["shop.*"]) == ["shop.public.items", "shop.public.orders"]
    assert matching(there, ["shop.public.orders", "other"]) == ["other", "shop.public.orders"]
    assert matching(there, ["*"]) == ["other", "shop", "shop.public.items", "shop.public.orders"]
    assert matching(there, ["_*"]) == ["__consumer_offsets", "_schemas"]
    assert matching(there, ["shop.public.[io]*s", "o?her"]) == [
        "other",
        "shop.public.items",
        "shop.public.orders",
    ]
    # A dot stands for itself.
    assert matching(["shopX", "shop.x"], ["shop.x"]) == ["shop.x"]
    assert [is_pattern(one) for one in ("shop.x", "shop.*", "sho?", "[s]hop")] == [False, True, True, True]
