"""Faults that are done to servers of a stack: each is done on entering a block, and undone on leaving it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from tests.faults.line import Line

from lakebed.errors import ServiceFailed
from lakebed.pytest_plugin.crash import Crash
from lakebed.pytest_plugin.session import SessionStack

_EVERY = 512


def process_of(stack: SessionStack, service: str) -> psutil.Process:
    """Return the process of a server that runs."""
    status = stack.status()
    assert status is not None
    (pid,) = [one["pid"] for one in status["services"] if one["service"] == service]
    return psutil.Process(pid)


@contextmanager
def killed(crash: Crash, service: str) -> Iterator[None]:
    """Kill a server; start it again."""
    with crash(service):
        yield


@contextmanager
def paused(stack: SessionStack, service: str) -> Iterator[None]:
    """Stop a server's processes with SIGSTOP; let them go on."""
    process = process_of(stack, service)
    # First the one that makes the others.
    process.suspend()
    family = [process, *process.children(recursive=True)]
    for child in family[1:]:
        child.suspend()
    try:
        yield
    finally:
        for member in family:
            member.resume()


@contextmanager
def refused(line: Line) -> Iterator[None]:
    """Refuse connections on a line."""
    line.refuse()
    try:
        yield
    finally:
        line.heal()


@contextmanager
def half_open(line: Line) -> Iterator[None]:
    """Let a line hand on nothing."""
    line.die()
    try:
        yield
    finally:
        line.heal()


@contextmanager
def advertised(crash: Crash, folder: Path, port: int) -> Iterator[None]:
    """Have Kafka tell its clients to reach it at another port, as it does behind a proxy."""
    configuration = folder / "kafka" / "server.properties"
    before = configuration.read_text()
    (old,) = [line for line in before.splitlines() if line.startswith("advertised.listeners=")]
    new = old[: old.rindex(":") + 1] + str(port)

    def write(text: str) -> None:
        crash.kill("kafka")
        configuration.write_text(text)
        crash.bring_back("kafka")

    write(before.replace(old, new))
    try:
        yield
    finally:
        write(before)


def damage(file: Path) -> None:
    """Change a byte of every few hundred, as a bad disk or cable does."""
    content = bytearray(file.read_bytes())
    for place in range(_EVERY // 2, len(content), _EVERY):
        content[place] ^= 0xFF
    # In place: owner and mode stay.
    with file.open("r+b") as opened:
        opened.write(content)


@contextmanager
def damaged(
    crash: Crash, folder: Path, service: str, files: Callable[[], Iterable[Path]], told: list[str]
) -> Iterator[None]:
    """Kill a server, damage files of its, and start it again; afterwards start it with its folder as it was.

    Args:
        crash: kills and starts.
        folder: of the stack.
        service: which.
        files: returns those to damage; asked while the server still runs.
        told: is given what lakebed says if the server does not start.
    """
    data, copy = folder / service, folder / f"{service}-as-it-was"
    found = list(files())
    assert found, f"no files of {service} to damage"
    crash.kill(service)
    # With owners and modes: PostgreSQL's files are another user's.
    subprocess.run(["cp", "--archive", str(data), str(copy)], check=True)
    try:
        for file in found:
            damage(file)
        try:
            crash.bring_back(service)
        except ServiceFailed as error:
            told.append(error.seen)
        yield
    finally:
        crash.kill(service)
        shutil.rmtree(data)
        copy.rename(data)
        crash.bring_back(service)
