"""What each function-scoped fixture costs a test: measured on the fixtures themselves, under pytest."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from rich.table import Table

from bench.report import new_table
from lakebed.errors import LakebedError

TESTS = Path(__file__).with_name("fixture_tests.py")
N = 10


class Recorder:
    """A pytest plugin that takes down how long fixtures take, and a test's clean-up."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.set_up: dict[str, list[float]] = defaultdict(list)
        self.clean_up: dict[str, list[float]] = defaultdict(list)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat every test."""
        metafunc.parametrize("repeat", range(self.repeats))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Time the set-up of one fixture; what it needs was set up before."""
        started = time.monotonic()
        result = yield
        self.set_up[fixturedef.argname].append(time.monotonic() - started)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Time the clean-up after a test, but not the one that ends the session as well."""
        started = time.monotonic()
        result = yield
        if nextitem is not None:
            self.clean_up[item.name.split("[")[0]].append(time.monotonic() - started)
        return result


def _measure(rounds: int) -> Recorder:
    recorder = Recorder(N * rounds)
    # lakebed's plugin is named, so that it is there when lakebed is not installed; no other plugin is loaded.
    before = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        arguments = ["-p", "lakebed.pytest_plugin", "-p", "no:cacheprovider", "-qq", str(TESTS)]
        code = pytest.main(arguments, plugins=[recorder])
    finally:
        if before is None:
            del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        else:
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = before
    if code != pytest.ExitCode.OK:
        raise LakebedError("measure the fixtures", f"pytest ended with {code}", "its output stands above")
    return recorder


def run(rounds: int) -> Table:
    """Measure."""
    recorder = _measure(rounds)
    table = new_table(
        "fixtures",
        f"median and longest of {N * rounds} tests, servers up; set-up: without that of fixtures it needs;"
        "\nclean-up: of all that a test made",
        "fixture",
        "set-up",
        "longest",
        "clean-up",
        "longest",
    )
    lines = (
        ("postgres_connection", "test_database"),
        ("kafka_topic", "test_topic"),
        ("delta_table_path", "test_path"),
        ("iceberg_namespace", "test_namespace"),
        ("debezium_connector", "test_connector"),
    )
    for fixture, test in lines:
        table.add_row(fixture, *_shown(recorder.set_up[fixture]), *_shown(recorder.clean_up[test]))
    return table


def _shown(seconds: list[float]) -> tuple[str, str]:
    return f"{1000 * median(seconds):.0f} ms", f"{1000 * max(seconds):.0f} ms"
