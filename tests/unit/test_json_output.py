"""The one style of `--json`."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import click
import pytest

from lakebed.cli.group import lakebed
from lakebed.cli.json_output import error_json, json_is_asked, plain
from lakebed.errors import ServiceFailed


def test_values_become_what_json_has() -> None:
    zone = timezone(timedelta(hours=2))
    value = {
        "at": datetime(2026, 1, 31, 12, tzinfo=zone),
        "wall": datetime(2026, 1, 31, 12),
        "day": date(2026, 1, 31),
        "time": time(12, 30),
        "exact": Decimal("0.10"),
        "raw": b"\x00\xff",
        "numbers": [1, 1.5, float("nan"), float("-inf")],
        "nothing": None,
        "inner": ({1: True},),
    }
    told = plain(value)
    assert told == {
        "at": "2026-01-31T10:00:00+00:00",
        "wall": "2026-01-31T12:00:00",
        "day": "2026-01-31",
        "time": "12:30:00",
        "exact": "0.10",
        "raw": "AP8=",
        "numbers": [1, 1.5, "nan", "-inf"],
        "nothing": None,
        "inner": [{"1": True}],
    }
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "is_asked"),
    [
        (["status", "--json"], True),
        (["--json"], True),
        (["status"], False),
        (["tail", "--", "--json"], False),
        (["tail", "--json", "--", "x"], True),
    ],
)
def test_json_is_asked_for_by_the_option(arguments: list[str], is_asked: bool) -> None:
    assert json_is_asked(arguments) is is_asked


def test_an_error_has_its_parts() -> None:
    assert error_json(ServiceFailed("start kafka", "exit code 1", "read the log")) == {
        "error": {
            "type": "ServiceFailed",
            "attempted": "start kafka",
            "seen": "exit code 1",
            "remedy": "read the log",
        }
    }
    assert error_json("interrupted")["error"]["type"] == "Interrupted"
    assert error_json(ZeroDivisionError("by 0"))["error"]["type"] == "ZeroDivisionError"


def test_an_error_of_the_command_line_names_what_is_known() -> None:
    with pytest.raises(click.NoSuchOption) as caught:
        lakebed.main(["status", "--frob"], prog_name="lakebed", standalone_mode=False)
    error = error_json(caught.value)["error"]
    assert (error["type"], error["attempted"]) == ("UsageError", "read the command line")
    assert "--frob" in error["seen"]
    assert "known options: -w, --watch" in error["remedy"]
    with pytest.raises(click.BadParameter) as refused:
        lakebed.main(["up", "--port", "kafka"], prog_name="lakebed", standalone_mode=False)
    assert error_json(refused.value)["error"]["remedy"] == "`lakebed up --help` explains it"
