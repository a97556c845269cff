"""What is news to somebody who watches the status."""

from __future__ import annotations

from typing import Any

import pytest

from lakebed.cli.observation import Facts
from lakebed.cli.status_view import size


def content(**other: Any) -> dict[str, Any]:
    kafka = {"service": "kafka", "state": "HEALTHY", "pid": 7, "memory_mb": 300}
    connector = {"name": "shop", "state": "RUNNING", "tasks": [{"id": 0, "state": "RUNNING", "trace": None}]}
    slot = {"slot": "shop", "database": "d", "is_active": True, "wal_status": "reserved", "lag_bytes": 5}
    return {"services": [kafka], "connectors": [connector], "slots": [slot], "unanswered": {}, **other}


def test_memory_and_lag_are_no_news() -> None:
    later = content()
    later["services"][0]["memory_mb"] = 400
    later["slots"][0]["lag_bytes"] = 6
    assert Facts.of(content()) == Facts.of(later)
    assert Facts.of(later).changes(Facts.of(content())) == []


def test_what_is_new_changed_and_gone() -> None:
    first = Facts.of(content())
    assert first.changes(Facts()) == [
        ("service", "kafka", "HEALTHY, pid 7"),
        ("connector", "shop", "RUNNING, task 0 RUNNING"),
        ("slot", "shop", "active, reserved"),
    ]
    later = content(slots=[], unanswered={"postgres": "no answer\nat all"})
    later["connectors"][0]["tasks"][0]["state"] = "FAILED"
    assert Facts.of(later).changes(first) == [
        ("connector", "shop", "RUNNING, task 0 FAILED"),
        ("slot", "shop", "gone"),
        ("unanswered", "postgres", "no answer"),
    ]
    assert Facts.of({"services": []}).changes(first)[0] == ("service", "kafka", "gone")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 kB"),
        (1_500_000, "1.4 MB"),
        (5 * 1024**3, "5.0 GB"),
        (-3, "-3 B"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
