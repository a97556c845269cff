"""Run the integration tests again and again, in random order and side by side: `make soak`.

Prints for each round its seed, what failed, what was left behind, and how long it took. Exit code 1 if any
round was not clean. To repeat a round: `python tools/soak.py --rounds 1 --seed SEED`.

Each round is written to `build/soak.jsonl` when it has ended. Where ten rounds take longer than one has the
machine, `python tools/soak.py --resume` goes on: earlier rounds of the same commit and tests count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree

import click
import psutil
from rich.console import Console
from rich.table import Table

from lakebed.waiting import PATIENCE, patience, wait_until

TEMPORARY = Path("/tmp")
# What SeaweedFS makes there whatever TMPDIR says.
PREFIX = "seaweedfs-"
# Four tests at a time share what may be two processors with their servers.
USUAL_PATIENCE = 3.0
ROOT = Path(__file__).parent.parent
RECORD = ROOT / "build" / "soak.jsonl"

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Round:
    """One run of the tests."""

    seed: int
    tests: int
    failed: list[str]
    left: list[str]
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether something ran, and nothing failed or stayed."""
        return bool(self.tests) and not self.failed and not self.left


@dataclass(frozen=True)
class Soak:
    """What is run in each round, and of which sources.

    Attributes:
        commit: the sources, or None where some differ from their commit: no other run has the same.
        paths: files and folders with the tests.
        workers: how many tests run at the same time.
        patience: the factor of every deadline.
    """

    commit: str | None
    paths: tuple[str, ...]
    workers: int
    patience: float

    def note(self, result: Round) -> None:
        """Write down a round that has ended."""
        RECORD.parent.mkdir(exist_ok=True)
        at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        line = {"at": at, **dataclasses.asdict(self), **dataclasses.asdict(result)}
        with RECORD.open("a", encoding="utf-8") as record:
            record.write(json.dumps(line) + "\n")

    def noted(self) -> Iterator[Round]:
        """Read the rounds that earlier runs have written down of the same."""
        names = [field.name for field in dataclasses.fields(Round)]
        same = json.loads(json.dumps(dataclasses.asdict(self)))
        for line in RECORD.read_text(encoding="utf-8").splitlines() if RECORD.exists() else ():
            values = json.loads(line)
            if same.items() <= values.items():
                yield Round(**{name: values[name] for name in names})


def commit_of_sources() -> str | None:
    """Return the commit that the sources are from, or None where they differ from it."""
    status = ["git", "status", "--porcelain"]
    if subprocess.run(status, cwd=ROOT, check=True, capture_output=True).stdout:
        return None
    head = ["git", "rev-parse", "HEAD"]
    return subprocess.run(head, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def temporary_files() -> set[Path]:
    """Return what looks like ours in the folder that all share."""
    return {path for path in TEMPORARY.iterdir() if path.name.startswith(PREFIX)}


def processes_in(folders: set[Path]) -> list[str]:
    """Return the processes that work in one of these folders, or have one in their command line."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = [*process.cmdline(), process.cwd()]
            if any(str(folder) in word for folder in folders for word in words):
                found.append(f"{process.name()} (pid {process.pid})")
    return found


def result_of(report: Path) -> tuple[int, list[str]]:
    """Return from a JUnit report how many tests ran, and which failed or were skipped."""
    if not report.exists():
        return 0, ["no report: pytest itself has failed"]
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed = [
        f"{case.get('classname')}::{case.get('name')} ({outcome.tag})"
        for case in cases
        for outcome in case
        if outcome.tag in ("failure", "error", "skipped")
    ]
    return len(cases), failed


def run(soak: Soak, seed: int) -> Round:
    """Run the tests once."""
    before = temporary_files()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=TEMPORARY) as name:
        folder = Path(name)
        # PostgreSQL's user must be able to pass through.
        folder.chmod(0o711)
        report = folder / "report.xml"
        data = folder / "stacks"
        # Of the round alone, so that what others do meanwhile is not taken for something left behind.
        temporary = folder / "tmp"
        temporary.mkdir()
        temporary.chmod(0o711)
        command = [sys.executable, "-m", "pytest", *soak.paths, "-q", "-n", str(soak.workers)]
        command += [
            "--dist",
            "loadgroup",
            "-p",
            "randomly",
            f"--randomly-seed={seed}",
            f"--junit-xml={report}",
            "--basetemp",
            str(folder / "tests"),
        ]
        started = time.monotonic()
        with (folder / "output").open("wb") as output:
            tests_run = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    PATIENCE: f"{soak.patience:g}",
                    "LAKEBED_DATA_FOLDER": str(data),
                    "LAKEBED_STACK": "own",
                    "TMPDIR": str(temporary),
                },
            )
        try:
            tests_run.wait()
        except KeyboardInterrupt:
            # The terminal has told pytest too, whose servers are in this folder and end after it.
            tests_run.wait()
            wait_until(
                lambda: not processes_in({folder}),
                f"the processes in {folder} to end",
                deadline_seconds=60,
                explain=lambda: ", ".join(processes_in({folder})),
            )
            raise
        seconds = time.monotonic() - started
        tests, failed = result_of(report)
        new = temporary_files() - before
        left = [str(path) for path in [*sorted(new), *sorted(temporary.iterdir())]]
        left += processes_in({folder, *new})
        left += [str(path) for path in sorted(data.iterdir())] if data.exists() else []
        result = Round(seed, tests, failed, left, seconds)
        if not result.is_clean:
            console.print((folder / "output").read_text(errors="replace"), markup=False)
    return result


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(min=1))
@click.option("--workers", default=4, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", type=int, help="Of the first round; those after it count up. Otherwise random.")
@click.option("--resume", is_flag=True, help="Count the rounds that were run of the same commit and tests.")
def main(paths: tuple[str, ...], rounds: int, workers: int, seed: int | None, resume: bool) -> None:
    """Run the tests in PATHS (tests/integration) so many times."""
    # A shell that starts it in the background has it ignore Ctrl-C, and with it the tests of Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = patience() if PATIENCE in os.environ else USUAL_PATIENCE
    soak = Soak(commit_of_sources(), paths or ("tests/integration",), workers, given)
    if resume and soak.commit is None:
        raise click.UsageError(
            "--resume: sources differ from their commit, so no earlier round was of the same"
        )
    results = list(soak.noted())[:rounds] if resume else []
    for result in results:
        console.print(f"before, with seed {result.seed}: {outcome(result)}")
    first = secrets.randbelow(2**31) if seed is None else seed
    for number in range(len(results), rounds):
        result = run(soak, first + number)
        results.append(result)
        soak.note(result)
        console.print(f"round {number + 1} of {rounds}: {outcome(result)}")
    table = Table(title=f"{rounds} rounds, {workers} workers, random order", title_justify="left")
    for column in ("seed", "tests", "failed", "left behind", "seconds"):
        table.add_column(column, justify="right" if column in ("seed", "tests", "seconds") else "left")
    for result in results:
        failed, left = "\n".join(result.failed) or "-", "\n".join(result.left) or "-"
        table.add_row(str(result.seed), str(result.tests), failed, left, f"{result.seconds:.0f}")
    console.print(table)
    sys.exit(0 if all(result.is_clean for result in results) else 1)


def outcome(result: Round) -> str:
    """Return in a line how a round has ended."""
    how = "clean" if result.is_clean else f"{len(result.failed)} failed, {len(result.left)} left"
    return f"{how}, {result.tests} tests, {result.seconds:.0f} s"


if __name__ == "__main__":
    main()
