"""What the screen of connectors shows, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.diagnosis import slot_state
from lakebed.clients.models import ConnectorStatus
from lakebed.config.secrets import MASK, is_secret_name, mask_text
from lakebed.lifecycle import state_of
from lakebed.services.postgres_connection import administer
from lakebed.ui.looking import Look

if TYPE_CHECKING:
    import psycopg

REQUEST_SECONDS = 10.0
_LAG = (
    "SELECT active, CASE WHEN NOT pg_is_in_recovery()"
    " THEN pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint END"
    " FROM pg_replication_slots WHERE slot_name = %s"
)


@dataclass(frozen=True)
class Task:
    """A task of a connector; `trace` is empty unless it failed."""

    id: int
    state: str
    worker: str
    trace: str


@dataclass(frozen=True)
class Slot:
    """A replication slot.

    Attributes:
        name: of the slot.
        active: whether somebody streams from it; None where PostgreSQL is not asked or does not know it.
        bytes_behind: how much of the log its consumer has not confirmed; None as above.
    """

    name: str
    active: bool | None = None
    bytes_behind: int | None = None


@dataclass(frozen=True)
class Connector:
    """A connector: `state` counts its tasks in, `trace` is its own, without those of its tasks."""

    name: str
    state: str
    type: str
    trace: str
    tasks: tuple[Task, ...]
    slot: Slot | None

    @property
    def is_halted(self) -> bool:
        """Whether it can be resumed rather than paused."""
        return self.state in ("PAUSED", "STOPPED")


@dataclass(frozen=True)
class ConnectorDetail:
    """One connector with all that is known of it; secrets in `settings` are masked."""

    connector: Connector
    slot_line: str
    topics: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]


ACTIONS: dict[str, tuple[str, Callable[[DebeziumClient, str], None]]] = {
    "pause": ("PAUSED", lambda client, name: client.pause(name)),
    "resume": ("RUNNING", lambda client, name: client.resume(name)),
    "restart": ("RUNNING", lambda client, name: client.restart(name)),
}
"""By name of the button, the state that it leads to, and how; each returns when that is reached."""


def connectors(look: Look) -> tuple[Connector, ...]:
    """Return every connector, sorted by name, with its slot.

    Raises:
        ConnectRefused: Connect does not answer.
    """
    with _client(look) as client:
        return tuple(_connector(look, client, name) for name in sorted(client.names()))


def connector(look: Look, name: str) -> ConnectorDetail:
    """Return one connector.

    Raises:
        ConnectRefused: there is none of that name, or Connect does not answer.
    """
    with _client(look) as client:
        found = _connector(look, client, name)
        settings = client.config(name)
        topics = tuple(client.topics(name))
    line = "" if found.slot is None else _asked(look, lambda one: slot_state(one, found.slot.name))  # type: ignore[union-attr]
    return ConnectorDetail(found, line or "", topics, shown_settings(settings))


def act(look: Look, name: str, action: str) -> str:
    """Pause, resume or restart a connector; return what it came to, when it has.

    Args:
        look: at the stack.
        name: of the connector.
        action: a key of `ACTIONS`.

    Raises:
        ConnectRefused: Connect refuses.
        ConnectorFailed: it is FAILED afterwards, with the trace.
        DeadlinePassed: it did not come to that state in 30 s.
    """
    state, do = ACTIONS[action]
    with _client(look) as client:
        do(client, name)
    return f"{name} is {state}"


def shown_settings(settings: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return a connector's settings, sorted, without its secrets."""
    return tuple(
        (key, MASK if is_secret_name(key) and value else mask_text(value))
        for key, value in sorted(settings.items())
    )


@contextmanager
def _client(look: Look) -> Iterator[DebeziumClient]:
    with DebeziumClient(look.addresses.connect, timeout_seconds=REQUEST_SECONDS) as client:
        yield client


def _connector(look: Look, client: DebeziumClient, name: str) -> Connector:
    status: ConnectorStatus = client.status(name)
    slot = client.config(name).get("slot.name")
    return Connector(
        name=name,
        state=state_of(status.connector.state, [task.state for task in status.tasks]).name,
        type=status.type,
        trace=mask_text(status.connector.trace or ""),
        tasks=tuple(
            Task(task.id, task.state, task.worker_id, mask_text(task.trace or "")) for task in status.tasks
        ),
        slot=None if slot is None else _slot(look, slot),
    )


def _slot(look: Look, name: str) -> Slot:
    def ask(postgres: psycopg.Connection[Any]) -> Slot:
        row = postgres.execute(_LAG, [name]).fetchone()
        return Slot(name) if row is None else Slot(name, row[0], row[1])

    return _asked(look, ask) or Slot(name)


def _asked(look: Look, ask: Callable[[psycopg.Connection[Any]], Any]) -> Any:
    """Ask PostgreSQL; None where it is not there, which must not hide what Connect says."""
    import psycopg

    if not look.has("postgres"):
        return None
    try:
        return administer(look.addresses.postgres, ask)
    except psycopg.Error:
        return None
