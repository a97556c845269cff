"""Where logs come from: the files of a stack, or the containers of a project."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from lakebed.cli.followed_log import FollowedLog
from lakebed.cli.log_lines import LogLine, log_lines
from lakebed.cli.native_runtime import found_stack
from lakebed.compose import runtime as compose
from lakebed.compose.definitions import definition_named
from lakebed.compose.project import Project
from lakebed.config.settings import Settings
from lakebed.errors import LakebedError, StackFailed
from lakebed.services import services_named
from lakebed.stack.connection import StackConnection
from lakebed.stack.process import ProcessIdentity

# How long a line may stand in a file before it is shown.
_PAUSE_SECONDS = 0.1
_END_SECONDS = 5.0


@dataclass(frozen=True)
class Ended:
    """A service that was followed has ended.

    Attributes:
        service: which.
        reason: how, as the stack tells it.
    """

    service: str
    reason: str


class LogSource(Protocol):
    """The logs of some services."""

    @property
    def services(self) -> Sequence[str]:
        """Their names."""

    def until_now(self) -> dict[str, list[LogLine]]:
        """Return, by service, what was written before; to be called once, first."""

    def rest(self) -> Iterator[LogLine]:
        """Return, of those that were written before, last lines that have no end yet."""

    def from_now(self) -> Iterator[LogLine | Ended]:
        """Return what is written from then on, as it comes; it ends when all of them have ended for good."""


@contextmanager
def open_logs(
    settings: Settings, names: Sequence[str], *, lines: int | None, follow: bool
) -> Iterator[LogSource]:
    """Open the logs of services of the runtime that the settings name.

    Args:
        names: of services, as written; none for all that are there.
        lines: only so many of the last lines of each, of what was written before.
        follow: whether `from_now` is going to be asked.

    Raises:
        UnknownService: a name is none.
        StackFailed: no stack runs, or a service was not started in it, or somebody else runs it.
        ComposeUnavailable: with the runtime "compose", Docker is not there.
    """
    if settings.runtime == "compose":
        wanted = [definition_named(name).name for name in names]
        containers = _Containers(compose.open_project(), wanted, lines, follow)
        try:
            yield containers
        finally:
            containers.close()
        return
    wanted = [service.name for name in names for service in services_named(name)]
    connection = found_stack(settings)
    try:
        yield _Files(connection, wanted, lines)
    finally:
        connection.hang_up()


def _not_started(service: str, there: Sequence[str]) -> StackFailed:
    return StackFailed(
        f"read the log of {service}", "it was not started", f"started: {', '.join(there) or 'nothing'}"
    )


class _Files:
    """The files that the processes of a stack write to."""

    def __init__(self, connection: StackConnection, wanted: Sequence[str], lines: int | None) -> None:
        self._connection = connection
        self._folder = connection.folder
        entries = connection.status()["services"]
        running = [entry["service"] for entry in entries if entry["state"] != "ATTACHED"]
        attached = {entry["service"]: entry["address"] for entry in entries if entry["state"] == "ATTACHED"}
        for name in wanted:
            if name in attached:
                raise StackFailed(
                    f"read the log of {name}",
                    f"it is attached at {attached[name]}",
                    "ask whoever runs it for its log",
                )
            if name not in running:
                raise _not_started(name, running)
        self.services: list[str] = list(dict.fromkeys(wanted or running))
        self._logs = {name: FollowedLog(self._folder.log(name), lines) for name in self.services}
        self._seen: dict[str, ProcessIdentity] = {}

    def until_now(self) -> dict[str, list[LogLine]]:
        self._seen = self._processes()
        return {name: list(log_lines(name, log.new_lines())) for name, log in self._logs.items()}

    def rest(self) -> Iterator[LogLine]:
        for name, log in self._logs.items():
            yield from log_lines(name, log.rest())

    def _processes(self) -> dict[str, ProcessIdentity]:
        return {name: one for name, one in self._folder.recorded_processes().items() if name in self.services}

    def from_now(self) -> Iterator[LogLine | Ended]:
        pause = threading.Event()
        while True:
            # Asked before the files are read, so that last words come before the word of the end.
            is_there, processes = self._folder.path.exists(), self._processes()
            for name, log in self._logs.items():
                yield from log_lines(name, log.new_lines())
            for name, identity in self._seen.items():
                if processes.get(name) != identity:
                    yield from log_lines(name, self._logs[name].rest())
                    yield Ended(name, self._reason(name))
            self._seen = processes
            if not is_there:
                return
            pause.wait(_PAUSE_SECONDS)

    def _reason(self, service: str) -> str:
        try:
            entries = self._connection.status()["services"]
        except LakebedError:
            return "the stack was ended"
        moves = [move for entry in entries if entry["service"] == service for move in entry["history"]]
        ends = [move["reason"] for move in moves if move["to_state"] in ("STOPPED", "STOPPING")]
        return ends[-1] if ends else "its process has ended"


class _Containers:
    """What the engine has kept of the containers' output."""

    def __init__(self, project: Project, wanted: Sequence[str], lines: int | None, follow: bool) -> None:
        self._project = project
        there = [container.service for container in project.containers()]
        for name in wanted:
            if name not in there:
                raise _not_started(name, there)
        if not there:
            raise StackFailed(
                "find the running stack",
                compose.NOTHING_RUNS,
                "start one with `lakebed up --runtime compose`",
            )
        self.services: list[str] = list(dict.fromkeys(wanted or there))
        self._lines = lines
        self._follow = follow
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def until_now(self) -> dict[str, list[LogLine]]:
        if self._follow:
            # The engine goes on from there by itself, without a gap.
            return {}
        return {
            name: list(log_lines(name, self._project.logs(name, self._lines).splitlines()))
            for name in self.services
        }

    def rest(self) -> Iterator[LogLine]:
        return iter(())

    def from_now(self) -> Iterator[LogLine | Ended]:
        come: queue.SimpleQueue[LogLine | Ended] = queue.SimpleQueue()
        for name in self.services:
            process = self._project.follow_logs(name, self._lines)
            self._processes[name] = process
            threading.Thread(target=_read, args=(name, process, come), daemon=True).start()
        left = len(self.services)
        while left:
            one = come.get()
            left -= isinstance(one, Ended)
            yield one

    def close(self) -> None:
        """End what still reads."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _read(service: str, process: subprocess.Popen[str], come: queue.SimpleQueue[LogLine | Ended]) -> None:
    assert process.stdout is not None
    for text in process.stdout:
        for line in log_lines(service, [text.rstrip("\r\n")]):
            come.put(line)
    code = process.wait()
    come.put(
        Ended(service, "its container has ended" if code == 0 else f"docker ended with exit code {code}")
    )
