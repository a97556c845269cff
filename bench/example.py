"""How long the suite of `examples/shop` takes, from start to end: with its two workers, and with none."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from rich.table import Table

from bench.report import new_table
from lakebed.errors import LakebedError

SHOP = Path(__file__).parents[1] / "examples" / "shop"
# By what the row is called, what pytest is given beside the suite's own options.
WAYS = {"two workers, as it is": (), "without workers": ("-n", "0")}
SLOWEST = 5


@dataclass(frozen=True)
class Suite:
    """One run of it.

    Attributes:
        seconds: of the whole process.
        tests: how many ran.
        skipped: how many of them did not.
        of_tests: seconds by test, its set-up and clean-up included.
    """

    seconds: float
    tests: int
    skipped: int
    of_tests: dict[str, float]

    @property
    def slowest(self) -> str:
        """The tests that took longest, with their seconds."""
        ordered = sorted(self.of_tests.items(), key=lambda one: -one[1])
        return "\n".join(f"{seconds:.0f} s  {name}" for name, seconds in ordered[:SLOWEST])


def _run(options: tuple[str, ...]) -> Suite:
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as name:
        folder = Path(name)
        # PostgreSQL, which refuses to run as root, must be able to pass through.
        folder.chmod(0o711)
        report = folder / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}"]
        # A data folder of its own: there may be a kept stack in the user's.
        environment = {**os.environ, "LAKEBED_DATA_FOLDER": str(folder / "data"), "LAKEBED_STACK": "own"}
        started = time.monotonic()
        finished = subprocess.run(
            [*command, *options], cwd=SHOP, env=environment, capture_output=True, text=True
        )
        seconds = time.monotonic() - started
        if finished.returncode != 0:
            seen = f"exit code {finished.returncode}\n{finished.stdout}{finished.stderr}"
            raise LakebedError("measure the example's suite", seen)
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    return Suite(
        seconds,
        len(cases),
        sum(case.find("skipped") is not None for case in cases),
        {f"{case.get('name')}": float(case.get("time", 0)) for case in cases},
    )


def run(rounds: int) -> Table:
    """Measure."""
    table = new_table(
        "the example's suite",
        "the whole process of pytest, with the start of the servers and of Spark; one stack for all tests",
        *("", "tests", "skipped", "whole", "sum of the tests", "slowest"),
    )
    for name, options in WAYS.items():
        for _ in range(rounds):
            suite = _run(options)
            table.add_row(
                name,
                str(suite.tests),
                str(suite.skipped),
                f"{suite.seconds:.0f} s",
                f"{sum(suite.of_tests.values()):.0f} s",
                suite.slowest,
            )
    return table
