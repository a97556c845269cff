"""Choosing ports, and telling who holds one that is taken."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Mapping

import psutil

from lakebed.errors import PortTaken, SettingsInvalid
from lakebed.services import SERVICE_NAMES, Service
from lakebed.services.definition import LOOPBACK

PortsByService = dict[str, dict[str, int]]


def choose_ports(
    services: Iterable[Service], *, well_known: bool, chosen: Mapping[str, int], taken: Iterable[int] = ()
) -> PortsByService:
    """Give every port of every service a number.

    Args:
        well_known: use the contract's ports; otherwise free ones.
        chosen: by service name, the number its main port must have.
        taken: numbers that are given away already.

    Returns:
        By service and port name, the number. Each was free when this returned.

    Raises:
        SettingsInvalid: a chosen port is for a service that does not exist.
        PortTaken: naming each fixed port that is held, its service, and the process that holds it.
    """
    unknown = sorted(set(chosen) - set(SERVICE_NAMES))
    if unknown:
        raise SettingsInvalid(
            "choose the ports of the services",
            f"the setting ports names {', '.join(unknown)}",
            f"known services: {', '.join(SERVICE_NAMES)}",
        )
    fixed: list[tuple[Service, int]] = []
    for service in services:
        number = chosen.get(service.name, service.ports[service.main_port] if well_known else None)
        if number is not None:
            fixed.append((service, number))
    _refuse_taken(fixed)
    numbers = {service.name: number for service, number in fixed}
    used = set(taken) | set(numbers.values())
    result: PortsByService = {}
    with contextlib.ExitStack() as held:
        for service in services:
            result[service.name] = {}
            for port in service.ports:
                if port == service.main_port and service.name in numbers:
                    result[service.name][port] = numbers[service.name]
                else:
                    result[service.name][port] = _free_port(held, used)
    return result


def _free_port(held: contextlib.ExitStack, used: set[int]) -> int:
    """Take a free port from the system and hold it until all have been chosen, so that no two are equal."""
    while True:
        listener = held.enter_context(socket.socket())
        listener.bind((LOOPBACK, 0))
        number: int = listener.getsockname()[1]
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


def holder_of(port: int) -> str:
    """Describe the process that listens on `port`, as far as this user may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.AccessDenied, PermissionError):
        connections = []
    for connection in connections:
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            if connection.pid is None:
                break
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(connection.pid)
                return f"{process.name()} (pid {process.pid}, user {process.username()})"
    return "a process of another user"


def _refuse_taken(fixed: Iterable[tuple[Service, int]]) -> None:
    seen: dict[int, str] = {}
    problems = []
    for service, number in fixed:
        if number in seen:
            problems.append(f"port {number} is asked for by both {seen[number]} and {service.name}")
        elif not is_free(number):
            problems.append(f"port {number} ({service.name}) is held by {holder_of(number)}")
        seen[number] = service.name
    if problems:
        raise PortTaken(
            "choose the ports of the services",
            "; ".join(problems),
            "stop that process, or give the service another port (`lakebed up --port SERVICE=NUMBER`);"
            " nothing was started",
        )
