"""What streams in a stack, at one look: the connectors with their tasks, and the replication slots.

Sources: Kafka documentation, "Kafka Connect", `GET /connectors?expand=status` (KIP-465); PostgreSQL
documentation, "pg_replication_slots".
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, TypeVar

from lakebed.clients.connect_requests import ConnectRequests
from lakebed.clients.in_thread import begin
from lakebed.clients.models import ConnectorStatus
from lakebed.config.endpoints import ConnectEndpoint, PostgresEndpoint
from lakebed.errors import DeadlinePassed
from lakebed.lifecycle import state_of
from lakebed.services.postgres_connection import administer
from lakebed.waiting import with_patience

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

ANSWER_SECONDS = 3.0

# A standby has no position of its own to write at.
_SLOTS = (
    "SELECT slot_name, database, active, wal_status, CASE WHEN NOT pg_is_in_recovery()"
    " THEN pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint END"
    " FROM pg_replication_slots ORDER BY slot_name"
)


def connectors_overview(worker: ConnectEndpoint) -> list[dict[str, Any]]:
    """Return the connectors of a Connect cluster, by name.

    Returns:
        Of each `name`, `state` (its tasks included: FAILED if one has failed), and `tasks`: of each `id`,
        `state`, and `trace`, None unless it has failed.

    Raises:
        ConnectRefused: Connect does not answer in time, or with an error.
    """
    requests = ConnectRequests(worker, with_patience(ANSWER_SECONDS))
    try:
        answer = requests.send(
            "GET", "/connectors", "read the status of all connectors", params={"expand": "status"}
        )
    finally:
        requests.close()
    return [_connector(ConnectorStatus.from_json(answer[name]["status"])) for name in sorted(answer)]


def _connector(status: ConnectorStatus) -> dict[str, Any]:
    state = state_of(status.connector.state, [task.state for task in status.tasks])
    tasks = [{"id": task.id, "state": task.state, "trace": task.trace} for task in status.tasks]
    return {"name": status.name, "state": state.value, "tasks": tasks}


def slots_overview(server: PostgresEndpoint) -> list[dict[str, Any]]:
    """Return the replication slots of a PostgreSQL server, by name.

    Returns:
        Of each `slot`, `database` (None for a physical one), `is_active`, `wal_status`, and `lag_bytes`: what
        was written to the log after what its reader has confirmed; None where that is not known.

    Raises:
        psycopg.Error: the server does not answer, or refuses.
    """

    def ask(connection: psycopg.Connection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return connection.execute(_SLOTS).fetchall()

    names = ("slot", "database", "is_active", "wal_status", "lag_bytes")
    return [dict(zip(names, row, strict=True)) for row in administer(server, ask)]


def answered(ask: Callable[[], T], what: str, *, within_seconds: float = ANSWER_SECONDS) -> T:
    """Return what a server answers, but wait no longer than so many seconds for one that hangs.

    They are multiplied by `lakebed.waiting.patience`.

    Raises:
        DeadlinePassed: it has not answered by then.
        Exception: whatever `ask` raises.
    """
    seconds = with_patience(within_seconds)
    answer = begin(ask)
    if answer in wait([answer], seconds).not_done:
        raise DeadlinePassed(f"ask {what}", f"no answer within {seconds:g} s")
    return answer.result()
