"""Values as a person reads them, pages of messages, and the order of changes."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from lakebed.cdc.events import UNAVAILABLE
from lakebed.errors import LakebedError
from lakebed.ui.cells import cell, indented, plain
from lakebed.ui.messages import bounds
from lakebed.ui.pages import event
from lakebed.ui.rendering import byte_count, clock, link
from lakebed.ui.screens import _whole
from lakebed.ui.tables import Change, ordered
from lakebed.ui.topics import Partition


def test_values_keep_what_they_say() -> None:
    row = {
        "price": Decimal("1.10"),
        "day": date(2026, 1, 2),
        "at": datetime(2026, 1, 2, 3, 4, 5, 6, timezone.utc),
        "picture": b"\x00\xff",
        "large": UNAVAILABLE,
        "not a number": float("nan"),
        "tags": ("a", None),
        "long": 2**63,
        "took": timedelta(seconds=1),
    }
    assert json.loads(indented(row)) == {
        "price": "1.10",
        "day": "2026-01-02",
        "at": "2026-01-02T03:04:05.000006+00:00",
        "picture": "base64:AP8=",
        "large": "UNAVAILABLE",
        "not a number": "nan",
        "tags": ["a", None],
        "long": 2**63,
        "took": "0:00:01",
    }


def test_long_values_are_cut_and_lines_joined() -> None:
    assert cell("a\nb") == "a⏎ b"
    assert cell("x" * 200) == "x" * 120 + "…"
    assert plain(b"x" * 300).endswith("… and 44 bytes")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (None, (70, 120)),
        (120, (70, 120)),
        (60, (10, 60)),
        (30, (5, 30)),
        (5, (5, 5)),
        (1, (5, 5)),
        (999, (70, 120)),
    ],
)
def test_page_stays_within_its_partition(before: int | None, expected: tuple[int, int]) -> None:
    assert bounds(Partition(0, 5, 120), before, 50) == expected


def test_changes_are_in_the_order_in_which_they_happened() -> None:
    def change(kind: str, version: int, key: str) -> Change:
        return Change(kind, version, f"2026-01-02T03:04:0{version}+00:00", (key,))

    mixed = [
        change("update_postimage", 2, "b"),
        change("insert", 1, "a"),
        change("update_preimage", 2, "b"),
        change("delete", 2, "a"),
    ]
    told = [(one.version, one.values[0], one.kind) for one in ordered(mixed)]
    assert told == [
        (1, "a", "insert"),
        (2, "a", "delete"),
        (2, "b", "update_preimage"),
        (2, "b", "update_postimage"),
    ]


def test_event_of_any_line_end_is_one_event() -> None:
    sent = event("view", "a\r\nb\rc\n\nevent: forged")
    assert sent == "event: view\ndata: a\ndata: b\ndata: c\ndata: \ndata: event: forged\n\n"


def test_links_escape_what_they_are_given() -> None:
    assert (
        link("/topic", name="a b&c/ü", partition=0, before=None) == "/topic?name=a+b%26c%2F%C3%BC&partition=0"
    )


@pytest.mark.parametrize("text", ["x", "1.5", "--1", "²", "9" * 30, "1 2", "<script>"])
def test_number_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LakebedError, match="whole number"):
        _whole({"before": text}, "before")


def test_number_that_is_left_out_is_none() -> None:
    assert _whole({}, "before") is None
    assert _whole({"before": " "}, "before") is None
    assert _whole({"before": "-12"}, "before") == -12


def test_clock_tells_the_day_only_where_it_is_not_today() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901).astimezone()
    assert clock(at.isoformat(), at + timedelta(hours=1)) == "03:04:05.678"
    assert clock(at.isoformat(), at + timedelta(days=1)) == "2026-01-02 03:04:05.678"
    assert clock("") == "-"


def test_bytes_have_a_unit() -> None:
    assert [byte_count(count) for count in (0, 999, 1500, 2_500_000)] == ["0 B", "999 B", "1.5 kB", "2.5 MB"]
