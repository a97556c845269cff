"""How soon a test runs: a whole pytest process with servers that are up, with none, and without lakebed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.report import new_table, ratio
from lakebed.config.settings import load_settings
from lakebed.errors import LakebedError
from lakebed.provision.progress import RichProgress
from lakebed.stack.connection import end_stack, open_stack
from lakebed.stack.folders import NAME_OF_UP

CLIENT = f"bench (pid {os.getpid()})"
FIXTURES = ("kafka_topic", "postgres_connection, debezium_client")
WARM = 7
COLD = 2

_TEST = """\
import time


def test({fixtures}):
    with open({began!r}, "w") as file:
        file.write(str(time.time()))
"""


@dataclass(frozen=True)
class Run:
    """Seconds of one pytest process: from its start to the test's body, and from there to its end."""

    to_body: float
    to_end: float


def _median(runs: list[Run]) -> Run:
    return Run(median(run.to_body for run in runs), median(run.to_end for run in runs))


@dataclass(frozen=True)
class Project:
    """A folder with one test for each of `FIXTURES`, and one that needs nothing."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def _began(self) -> Path:
        return self.folder / "began"

    def write(self) -> None:
        (self.folder / "pytest.ini").write_text("[pytest]\n")
        for number, fixtures in enumerate(["", *FIXTURES]):
            text = _TEST.format(fixtures=fixtures, began=str(self._began))
            (self.folder / f"test_{number}.py").write_text(text)

    def without_lakebed(self) -> Run:
        return self._run("test_0.py", "-p", "no:lakebed")

    def with_lakebed(self, fixtures: str) -> Run:
        return self._run(f"test_{1 + FIXTURES.index(fixtures)}.py")

    def _run(self, *arguments: str) -> Run:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        started = time.time()
        finished = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        ended = time.time()
        if finished.returncode != 0:
            seen = f"exit code {finished.returncode}\n{finished.stdout}{finished.stderr}"
            raise LakebedError("measure a run of pytest", seen)
        began = float(self._began.read_text())
        return Run(began - started, ended - began)


@contextmanager
def _project() -> Iterator[Project]:
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as name:
        folder = Path(name)
        # PostgreSQL, which refuses to run as root, must be able to pass through.
        folder.chmod(0o711)
        # A data folder of its own: there may be a kept stack in the user's.
        environment = {**os.environ, "LAKEBED_DATA_FOLDER": str(folder / "data"), "LAKEBED_STACK": "auto"}
        project = Project(folder, environment)
        project.write()
        yield project


@contextmanager
def _kept_stack(project: Project) -> Iterator[None]:
    """All servers, kept like those of `lakebed up`."""
    settings = load_settings({"data_folder": Path(project.environment["LAKEBED_DATA_FOLDER"])})
    connection = open_stack(settings, NAME_OF_UP, client=CLIENT, keep=True)
    try:
        connection.start((), settings, progress=RichProgress())
        connection.close()
        yield
    finally:
        end_stack(settings, NAME_OF_UP, CLIENT)


def run(rounds: int) -> Table:
    """Measure."""
    plain: list[Run] = []
    warm: dict[str, list[Run]] = {fixtures: [] for fixtures in FIXTURES}
    cold: dict[str, list[Run]] = {fixtures: [] for fixtures in FIXTURES}
    with _project() as project:
        # Compiles what Python imports, and writes class-data archives where they are missing.
        project.without_lakebed()
        for fixtures in FIXTURES:
            project.with_lakebed(fixtures)
            cold[fixtures] += [project.with_lakebed(fixtures) for _ in range(COLD * rounds)]
        with _kept_stack(project):
            for _ in range(WARM * rounds):
                plain.append(project.without_lakebed())
                for fixtures in FIXTURES:
                    warm[fixtures].append(project.with_lakebed(fixtures))
    table = new_table(
        "attach",
        f"one pytest process with one test; warm: all six servers are kept (median of {WARM * rounds});"
        f" cold: none runs (of {COLD * rounds});"
        "\nattach: how much later the test begins than one that needs nothing, without lakebed;"
        "\nend: from the test to the end of the process, reset (warm) or stop (cold) included",
        "test with",
        "servers",
        "begins",
        "attach",
        "ratio",
        "end",
    )
    base = _median(plain)
    for fixtures, servers, runs in (
        ("-", "no lakebed", plain),
        *((fixtures, "warm", runs) for fixtures, runs in warm.items()),
        *((fixtures, "cold", runs) for fixtures, runs in cold.items()),
    ):
        one = _median(runs)
        table.add_row(
            fixtures,
            servers,
            _shown(one.to_body),
            _shown(one.to_body - base.to_body),
            ratio(one.to_body, base.to_body),
            _shown(one.to_end),
        )
    return table


def _shown(seconds: float) -> str:
    return f"{seconds:.2f} s"
