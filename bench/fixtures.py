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

from bench.report import new_table, ratio
from lakebed.errors import LakebedError

TESTS = Path(__file__).with_name("fixture_tests.py")
N = 12

# By fixture: its test; the fixture written by hand, and its test. There is nothing to write for a path.
MEASURED = (
    ("postgres_connection", "test_database", "database_by_hand", "test_database_by_hand"),
    ("kafka_topic", "test_topic", "topic_by_hand", "test_topic_by_hand"),
    ("delta_table_path", "test_path", None, None),
    ("iceberg_namespace", "test_namespace", "namespace_by_hand", "test_namespace_by_hand"),
    ("debezium_connector", "test_connector", "connector_by_hand", "test_connector_by_hand"),
)


class Recorder:
    """A pytest plugin that takes down how long fixtures take, and a test's clean-up."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.set_up: dict[str | None, list[float]] = defaultdict(list)
        self.clean_up: dict[str | None, list[float]] = defaultdict(list)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat every test."""
        metafunc.parametrize("repeat", range(self.repeats))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Take turns: what else the machine does meanwhile must not fall on one of them."""
        items.sort(key=lambda item: item.name.split("[")[1].rjust(9))

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
        # Servers of its own: they are to be the same for everybody who measures.
        code = pytest.main([*arguments, "--lakebed-set", "stack=own"], plugins=[recorder])
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
        f"median of {N * rounds} tests in turns, servers up; by hand: without lakebed, on the same servers;"
        "\nset-up: without that of fixtures it needs; clean-up: of all that a test made"
        " (with a connector: its slot, its topics, the test's database);"
        "\na connector of lakebed's streams then, the other one is RUNNING",
        "fixture",
        "set-up",
        "by hand",
        "ratio",
        "clean-up",
        "by hand",
        "ratio",
    )
    for fixture, test, fixture_by_hand, test_by_hand in MEASURED:
        table.add_row(
            fixture,
            *_compared(recorder.set_up[fixture], recorder.set_up[fixture_by_hand]),
            *_compared(recorder.clean_up[test], recorder.clean_up[test_by_hand]),
        )
    return table


def _compared(seconds: list[float], by_hand: list[float]) -> tuple[str, str, str]:
    own = median(seconds)
    if not by_hand:
        return _shown(own), "-", "-"
    return _shown(own), _shown(median(by_hand)), ratio(median(by_hand), own)


def _shown(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
