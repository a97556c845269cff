"""An exact end: Kafka has acknowledged every event of a connector up to a position of PostgreSQL's log.

That a barrier's message has arrived in its own topic does not say that the other topics are complete: a
producer sends one batch of each partition at a time, so behind a large transaction the message comes first.
Connect commits the position of an event only when Kafka has acknowledged it and all events before it (Kafka,
`SubmittedRecords` of the Connect runtime).
"""

from __future__ import annotations

import functools
from typing import Any

import psycopg

from lakebed.clients.connector import Connector
from lakebed.clients.debezium import connector_failed
from lakebed.errors import ConnectRefused
from lakebed.waiting import wait_until

# As that of the barrier: nobody else's messages begin like this.
MESSAGE_PREFIX = "lakebed"
_FLUSHED_SINCE = 170000


def wait_until_acknowledged(
    postgres: psycopg.Connection[Any], connector: Connector, *, deadline_seconds: float = 60.0
) -> None:
    """Return when Kafka has every event of what was committed before this call.

    A message is written into the log, so that the connector has something to acknowledge. How long it takes
    depends on how often Connect commits: `offset.flush.interval.ms` of the worker.

    Args:
        postgres: a connection, in autocommit mode, to the database the connector captures.
        connector: the connector.
        deadline_seconds: how long to wait.

    Raises:
        ConnectorFailed: it is FAILED; with the trace of its task.
        ConnectRefused: there is no such connector.
        DeadlinePassed: with the connector's state.
    """
    position = _write_message(postgres)

    def acknowledged() -> bool:
        try:
            entries = connector.client.offsets(connector.name)
            status = connector.status()
        except ConnectRefused as error:
            # A worker that is restarted comes back, a connector that was deleted does not.
            if error.seen.startswith("HTTP 404"):
                raise
            return False
        if any(int((entry["offset"] or {}).get("lsn") or 0) >= position for entry in entries):
            return True
        if "FAILED" in (status.connector.state, *(task.state for task in status.tasks)):
            raise connector_failed(status)
        return False

    wait_until(
        acknowledged,
        f"Kafka to acknowledge the events of connector {connector.name!r} up to log position"
        f" {position >> 32:X}/{position & 0xFFFFFFFF:X}",
        deadline_seconds=deadline_seconds,
        longest_pause_seconds=0.02,
        explain=functools.partial(describe, connector),
        remedy="see whether the connector still streams: `debezium_client.status(name)`",
    )


def describe(connector: Connector) -> str:
    """Return the connector's state and trace, or why Connect does not tell them."""
    try:
        return connector.describe()
    except ConnectRefused as error:
        return str(error)


def _write_message(postgres: psycopg.Connection[Any]) -> int:
    """Write a message into the log and return a position that is not behind its beginning.

    It is flushed at once: a message that belongs to no transaction waits for `wal_writer_delay` otherwise,
    200 ms (PostgreSQL documentation, "System Administration Functions", `pg_logical_emit_message`).
    """
    position = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
    row = postgres.execute(position).fetchone()
    assert row is not None
    flushed = postgres.info.server_version >= _FLUSHED_SINCE
    arguments = "false, %s, ''::bytea, true" if flushed else "true, %s, ''::bytea"
    postgres.execute(f"SELECT pg_logical_emit_message({arguments})".encode(), [MESSAGE_PREFIX])
    return int(row[0])
