"""Every fault of the table, done for real to each service it applies to: nothing that was committed is lost.

Those that need namespaces, cgroups or a compiler are in `faults_in_a_world.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.faults.conftest import parametrized
from tests.faults.fault_table import DAMAGED, HALF_OPEN, KILLED, PAUSED, REFUSED, Pair
from tests.faults.flows import ANSWER_SECONDS, Flow, Schemas, Stream
from tests.faults.inflicting import damaged, half_open, killed, paused, refused
from tests.faults.line import Line
from tests.faults.seen import Run, told_by

from lakebed.pytest_plugin.crash import Crash
from lakebed.pytest_plugin.session import SessionStack


@parametrized(KILLED)
def test_a_server_that_is_killed(
    pair: Pair, flow: Flow, lakebed_crash: Crash, lakebed_stack: SessionStack
) -> None:
    run = Run(pair, lakebed_stack, flow)
    seen = run.go_through(killed(lakebed_crash, pair.service), is_noticed=True)
    assert "STOPPED" in seen.noticed
    assert "SIGKILL" in seen.noticed
    assert seen.told
    if isinstance(flow, Stream) and pair.service != "postgres":
        assert f"{pair.service}: its process has ended" in seen.told


@parametrized(PAUSED)
def test_a_server_that_is_paused(
    pair: Pair, flow: Flow, lakebed_crash: Crash, lakebed_stack: SessionStack
) -> None:
    run = Run(pair, lakebed_stack, flow)
    seen = run.go_through(paused(lakebed_stack, pair.service), is_noticed=True)
    assert "is paused (SIGSTOP)" in seen.noticed
    assert seen.told
    if isinstance(flow, (Stream, Schemas)):
        assert f"{pair.service}: its process" in seen.told
        assert "is paused" in seen.told


@parametrized(REFUSED, HALF_OPEN)
def test_a_line_that_is_broken(
    pair: Pair, flow: Flow, line: Line, lakebed_crash: Crash, lakebed_stack: SessionStack
) -> None:
    broken = refused(line) if pair.fault is REFUSED else half_open(line)
    seen = Run(pair, lakebed_stack, flow).go_through(broken, is_noticed=False)
    assert seen.told
    # The server itself is well, and is not said to be anything else; but Kafka tells its clients, so also
    # whoever asks for its status, to reach it over the line.
    assert seen.noticed == "" or (pair.service == "kafka" and seen.noticed.startswith("no answer"))


@parametrized(DAMAGED)
def test_a_data_directory_that_is_damaged(
    pair: Pair, flow: Flow, lakebed_crash: Crash, lakebed_stack: SessionStack
) -> None:
    folder = lakebed_stack.folder
    refusals: list[str] = []

    def files() -> list[Path]:
        return [path for path in _files_of(pair.service, flow, folder) if path.stat().st_size > 0]

    def look() -> str:
        return telling(refusals[0]) if refusals else _told_by_reader(pair.service, flow, folder)

    fault = damaged(lakebed_crash, folder, pair.service, files, refusals)
    seen = Run(pair, lakebed_stack, flow).go_through_damage(fault, look)
    # Never wrong without a word.
    assert seen.told


def telling(refusal: str) -> str:
    """Return what an error says first, and the last line of the log in it that names a cause."""
    first, *lines = refusal.splitlines()
    causes = [line.strip() for line in lines if re.search("PANIC|FATAL|Caused by|Error|orrupt", line)]
    return " ".join(["ServiceFailed:", first, *causes[-1:]])


def _files_of(service: str, flow: Flow, folder: Path) -> Iterable[Path]:
    """Return the files with the data of a flow."""
    if isinstance(flow, Stream):
        if service == "postgres":
            return [folder / service / "data" / flow.file_of_source()]
        return (folder / service / "log" / f"{flow.connector.topic('numbers')}-0").glob("*.log")
    return (folder / service).rglob("*.dat" if service == "s3" else "*.mv.db")


def _told_by_reader(service: str, flow: Flow, folder: Path) -> str:
    """Return what is told when damaged data is read, by a server that has started with it."""
    if service == "kafka":
        # It throws away what is damaged, and what comes after that in the same file.
        lines = (folder / "kafka.log").read_text().splitlines()
        return next((line for line in reversed(lines) if "invalid messages" in line), "")
    ask = flow.read_source if isinstance(flow, Stream) else flow.read
    return told_by(ask, ANSWER_SECONDS)[0]
