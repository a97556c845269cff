"""Choosing ports, and telling who holds one that is taken."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from lakebed.errors import PortTaken, SettingsInvalid
from lakebed.services import KNOWN_NAMES, Service
from lakebed.services.definition import LOOPBACK
from lakebed.stack.folders import NAME_OF_UP, StackFolder
from lakebed.stack.process import ProcessIdentity

PortsByService = dict[str, dict[str, int]]


def choose_ports(
    services: Iterable[Service],
    *,
    well_known: bool,
    chosen: Mapping[str, int],
    taken: Iterable[int] = (),
    held: contextlib.ExitStack | None = None,
) -> PortsByService:
    """Give every port of every service a number.

    Args:
        well_known: use the contract's ports; otherwise free ones.
        chosen: by service name, the number its main port must have.
        taken: numbers that are given away already.
        held: until it is closed, the ports are kept from all but the servers: see `hold`.

    Returns:
        By service and port name, the number. Each was free when this returned, and is as long as it is held.

    Raises:
        SettingsInvalid: a chosen port is for a service that does not exist.
        PortTaken: naming each fixed port that is held, its service, and the process that holds it.
    """
    unknown = sorted(set(chosen) - set(KNOWN_NAMES))
    if unknown:
        raise SettingsInvalid(
            "choose the ports of the services",
            f"the setting ports names {', '.join(unknown)}",
            f"known services: {', '.join(KNOWN_NAMES)}",
        )
    fixed: list[tuple[str, int]] = []
    for service in services:
        number = chosen.get(service.name, service.ports[service.main_port] if well_known else None)
        if number is not None:
            fixed.append((service.name, number))
    refuse_taken("choose the ports of the services", fixed)
    numbers = dict(fixed)
    used = set(taken) | set(numbers.values())
    result: PortsByService = {}
    with contextlib.ExitStack() as holding:
        for number in numbers.values():
            with contextlib.suppress(OSError):
                # Taken just now: its server will say by whom.
                hold(number, holding)
        for service in services:
            result[service.name] = {}
            for port in service.ports:
                if port == service.main_port and service.name in numbers:
                    result[service.name][port] = numbers[service.name]
                else:
                    result[service.name][port] = _free_port(holding, used)
        if held is not None:
            held.enter_context(holding.pop_all())
    return result


def hold(port: int, held: contextlib.ExitStack) -> int:
    """Keep a port of the loopback address for a server, until `held` is closed.

    Seconds pass from the choice of a port until its server listens, in which the system would give it to
    whoever asks for any, or to an outgoing connection. A socket that is bound and does not listen keeps those
    away, and not a server that sets SO_REUSEADDR, as all here do.

    Source: Linux manual, socket(7), "SO_REUSEADDR". Elsewhere such a socket would keep the server away too,
    and is closed at once.

    Args:
        port: its number; 0 for one that is free.

    Returns:
        The number.

    Raises:
        OSError: somebody listens on it.
    """
    with contextlib.ExitStack() as binding:
        holder = binding.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, port))
        number: int = holder.getsockname()[1]
        if sys.platform == "linux":
            held.enter_context(binding.pop_all())
    return number


def _free_port(held: contextlib.ExitStack, used: set[int]) -> int:
    while True:
        number = hold(0, held)
        if number not in used:
            used.add(number)
            return number


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as listener:
        # As servers do; without it a port in TIME_WAIT would look taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Holder:
    """Who listens on a port.

    Attributes:
        seen: who it is, as far as this user may see it.
        remedy: how the port becomes free.
    """

    seen: str
    remedy: str


def holder_of(port: int) -> Holder:
    """Find out who listens on `port`: a server of a stack, another process, or one that cannot be seen."""
    for listener in _listeners(port):
        with contextlib.suppress(psutil.Error):
            return _server_of_a_stack(listener) or Holder(
                f"{listener.name()} (pid {listener.pid}, user {listener.username()})", "end that process"
            )
    return Holder("a process of another user", "ask its user, or the machine's administrator, to end it")


def is_held_by(port: int, process: psutil.Process) -> bool:
    """Whether `process` or one of its children listens on `port`.

    A server that another one has forestalled answers just as well: only this tells which it is.
    """
    return any(process == holder or process in holder.parents() for holder in _listeners(port))


def _listeners(port: int) -> Iterator[psutil.Process]:
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.AccessDenied, PermissionError):
        return
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or connection.pid is None:
            continue
        if connection.laddr and connection.laddr.port == port:
            with contextlib.suppress(psutil.NoSuchProcess):
                yield psutil.Process(connection.pid)


def _server_of_a_stack(process: psutil.Process) -> Holder | None:
    """Recognise a server by the folder it works in: its own, in the folder of its stack."""
    try:
        folder = Path(process.cwd())
    except (psutil.AccessDenied, FileNotFoundError):
        return None
    for path in folder.parents:
        stack = StackFolder(path)
        supervisor = stack.recorded_processes().get("supervisor")
        if supervisor is not None and path.stat().st_uid == os.geteuid():
            service = folder.relative_to(path).parts[0]
            seen = f"{service} of the stack in {path} (pid {process.pid})"
            return Holder(seen, _way_to_end(path, supervisor))
    return None


def _way_to_end(stack: Path, supervisor: ProcessIdentity) -> str:
    if stack.name != NAME_OF_UP and supervisor.process() is not None:
        return f"let the tests or the demo it belongs to end, or end them with `kill {supervisor.pid}`"
    # It also ends what killed supervisors have left in that folder.
    return f"end that stack with `LAKEBED_DATA_FOLDER={shlex.quote(str(stack.parent))} lakebed down`"


def refuse_taken(attempted: str, asked: Iterable[tuple[str, int]]) -> None:
    """Refuse ports that another process holds, or that two services ask for.

    Args:
        attempted: what they are for.
        asked: names of services, and the port of each.

    Raises:
        PortTaken: naming each of them, its service, and the process that holds it.
    """
    seen: dict[int, str] = {}
    problems: list[str] = []
    remedies: dict[str, None] = {}
    for service, number in asked:
        if number in seen:
            problems.append(f"port {number} is asked for by both {seen[number]} and {service}")
        elif not is_free(number):
            holder = holder_of(number)
            problems.append(f"port {number} ({service}) is held by {holder.seen}")
            remedies[holder.remedy] = None
        seen[number] = service
    if problems:
        remedies["give the service another port (`lakebed up --port SERVICE=NUMBER`)"] = None
        raise PortTaken(
            attempted,
            "; ".join(problems),
            f"{', or '.join(remedies)}; nothing was started",
        )
