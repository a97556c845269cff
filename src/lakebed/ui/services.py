"""What the screen of services shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakebed.config.secrets import mask_text
from lakebed.errors import UnknownService
from lakebed.stack.process import last_lines
from lakebed.ui.looking import Look

LOG_LINES = 200


@dataclass(frozen=True)
class Move:
    """One change of a service's state; `at` is ISO 8601 in UTC."""

    at: str
    state: str
    reason: str


@dataclass(frozen=True)
class Service:
    """A service of the stack.

    Attributes:
        name, title: what it is called, and what it is.
        state: of its life cycle, or ATTACHED.
        since: when it came into that state, ISO 8601 in UTC; empty for an attached one.
        port: that its clients use; None for an attached one.
        address: of an attached one, else None.
        pid: of its process.
        memory_mb: resident, in MB, children included.
        seconds_to_start: until it was healthy.
        last_failure: what the last failed health check said; empty when none failed since.
        history: its moves, oldest first.
    """

    name: str
    title: str
    state: str
    since: str
    port: int | None
    address: str | None
    pid: int | None
    memory_mb: int
    seconds_to_start: float | None
    last_failure: str
    history: tuple[Move, ...]


@dataclass(frozen=True)
class ServiceList:
    """All services, and what concerns the stack as a whole.

    Attributes:
        services: in the order of the supervisor.
        folder: of the stack.
        memory_mb: of all servers together.
        clients: who holds a lease.
        left: what tests made and could not be removed, with the reason.
    """

    services: tuple[Service, ...]
    folder: str
    memory_mb: int
    clients: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class ServiceDetail:
    """One service with the end of its log, secrets masked."""

    service: Service
    log: tuple[str, ...]
    log_path: str


def services(look: Look) -> ServiceList:
    """Return every service of the stack."""
    found = tuple(_service(one) for one in look.status["services"])
    return ServiceList(
        found,
        str(look.folder.path),
        sum(one.memory_mb for one in found),
        tuple(look.status["clients"]),
        tuple(f"{one['kind']} {one['name']}: {one['why']}" for one in look.status["left"]),
    )


def service(look: Look, name: str, lines: int = LOG_LINES) -> ServiceDetail:
    """Return one service with the last lines of its log.

    Raises:
        UnknownService: the stack has none of that name.
    """
    for one in look.status["services"]:
        if one["service"] == name:
            found = _service(one)
            log = look.folder.log(name)
            text = "" if found.address else last_lines(log, lines)
            return ServiceDetail(found, tuple(map(mask_text, text.splitlines())), str(one["log"] or ""))
    known = ", ".join(one["service"] for one in look.status["services"]) or "none"
    raise UnknownService(f"show the service {name!r}", f"this stack has: {known}")


def _service(entry: dict[str, Any]) -> Service:
    history = tuple(Move(move["at"], move["to_state"], move["reason"]) for move in entry["history"])
    return Service(
        name=entry["service"],
        title=entry["title"],
        state=entry["state"],
        since=history[-1].at if history else "",
        port=entry["port"],
        address=entry.get("address"),
        pid=entry["pid"],
        memory_mb=entry["memory_mb"] or 0,
        seconds_to_start=entry["seconds_to_start"],
        last_failure=mask_text(entry["last_failure"] or ""),
        history=history,
    )
