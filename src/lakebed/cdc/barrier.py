"""Exact barriers: everything that was committed before has arrived, in Kafka, in a Delta or an Iceberg table.

`pg_logical_emit_message` writes a message into the write-ahead log; Debezium hands it on in log order, as an
event with op `m` in the topic `<prefix>.message` (Debezium documentation, "PostgreSQL connector", section
"Message events"). The topics of the tables are written in the same order by the same producer. A table of a
lake records up to which offset of its topic it has come (`lakebed.cdc.progress`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from confluent_kafka import Consumer

from lakebed.cdc.progress import Progress, delta_progress, iceberg_progress
from lakebed.cdc.topic_state import end_offsets, last_event, shown_ends
from lakebed.clients.databases import describe_slot
from lakebed.clients.debezium import connector_failed
from lakebed.errors import ConnectRefused
from lakebed.lifecycle import ConnectorState, state_of
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from lakebed.clients.connector import Connector

MESSAGE_PREFIX = "lakebed"
DEADLINE_SECONDS = 60.0
_CHECK_SECONDS = 0.5

Check = Callable[[], None]


def wait_for_barrier(
    postgres: psycopg.Connection[Any],
    bootstrap_servers: str,
    topic_prefix: str,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    connector: Connector | None = None,
    explain: Callable[[], str] | None = None,
) -> str:
    """Return when every change committed before this call is in Kafka.

    Args:
        postgres: a connection, in autocommit mode, to the database the connector captures.
        bootstrap_servers: of Kafka.
        topic_prefix: the connector's.
        deadline_seconds: how long to wait.
        connector: if given, its failure ends the waiting at once, and the error tells how it is.
        explain: what else to add to the error.

    Returns:
        The barrier's position in PostgreSQL's log, such as "0/16B3748".

    Raises:
        ConnectorFailed: the connector or its task is FAILED; with the trace.
        DeadlinePassed: the barrier did not arrive; with the connector, its slot and the last event.
    """
    topic = f"{topic_prefix}.message"
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": f"lakebed-barrier-{uuid.uuid4().hex}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "allow.auto.create.topics": True,
        "topic.metadata.refresh.interval.ms": 100,
        "fetch.wait.max.ms": 10,
        "log_level": 0,
    }
    # Long enough to be found again, and in any form: as Avro bytes, as base64 in JSON.
    content = f"{MESSAGE_PREFIX}-{uuid.uuid4().hex}"
    check = _every(_CHECK_SECONDS, lambda: _raise_if_failed(connector))
    consumer = Consumer(settings)
    try:
        consumer.subscribe([topic])
        row = postgres.execute("SELECT pg_logical_emit_message(false, %s, %s)", [content, b""]).fetchone()
        position = str(row[0]) if row else "unknown"

        def arrived() -> bool:
            message = consumer.poll(0.5)
            if message is None or message.error() is not None:
                check()
                return False
            return content.encode() in (message.value() or b"")

        def diagnosis() -> str:
            parts = [] if connector is None else [connector.describe(), _slot(postgres, connector)]
            parts.append(last_event(bootstrap_servers, topic))
            return "\n".join(parts if explain is None else [*parts, explain()])

        wait_until(
            arrived,
            f"the barrier at log position {position} to arrive in topic {topic!r}",
            deadline_seconds=deadline_seconds,
            longest_pause_seconds=0.002,
            explain=diagnosis,
            remedy="see whether the connector still streams: `debezium_client.status(name)`",
        )
        return position
    finally:
        consumer.close()


def wait_for_table(
    read: Callable[[], Progress | None],
    table: str,
    topic: str,
    bootstrap_servers: str,
    *,
    ends: Mapping[int, int] | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
    check: Check = lambda: None,
    explain: Callable[[], str] | None = None,
) -> Progress | None:
    """Return when everything that is in a topic now has come into a table that a pipeline writes.

    To wait for all that was committed in PostgreSQL, call `wait_for_barrier` first.

    Args:
        read: returns how far the table has come.
        table: how it is called, for the error.
        topic: its change topic; one that does not exist holds nothing to wait for.
        bootstrap_servers: of Kafka.
        ends: by partition, the offset to come to; None for the present ends of the topic.
        deadline_seconds: how long to wait.
        check: called meanwhile; raises if there is nothing to wait for any more: the pipeline has failed.
        explain: what to add to the error.

    Returns:
        How far the table has come; None if there was nothing to wait for.

    Raises:
        DeadlinePassed: with the table's position, the topic's end and its last event.
    """
    wanted = dict(end_offsets(bootstrap_servers, [topic])[topic] if ends is None else ends)
    if not any(wanted.values()):
        return read()
    seen: list[Progress | None] = [None]

    def has_come() -> bool:
        check()
        seen[0] = read()
        return seen[0] is not None and seen[0].has_reached(wanted)

    def diagnosis() -> str:
        come = "nothing yet, or it is not there" if seen[0] is None else seen[0].describe()
        parts = [f"{table} holds of topic {topic!r}: {come}", last_event(bootstrap_servers, topic)]
        return "\n".join(parts if explain is None else [*parts, explain()])

    wait_until(
        has_come,
        f"{table} to hold topic {topic!r} up to {shown_ends(wanted)}",
        deadline_seconds=deadline_seconds,
        longest_pause_seconds=0.05,
        explain=diagnosis,
        remedy="see whether a pipeline that writes this table runs",
    )
    return seen[0]


def wait_for_delta(
    path: str,
    storage_options: Mapping[str, str],
    topic: str,
    bootstrap_servers: str,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    check: Check = lambda: None,
    explain: Callable[[], str] | None = None,
) -> Progress | None:
    """Return when everything that is in a topic now is in a Delta table; read by delta-rs.

    Args:
        path: of the table, `s3a://...`.
        storage_options: of delta-rs: `Addresses.delta_storage_options()`.

    The other arguments, what is returned and what is raised: see `wait_for_table`.
    """
    return wait_for_table(
        lambda: delta_progress(path, storage_options),
        f"the Delta table {path}",
        topic,
        bootstrap_servers,
        deadline_seconds=deadline_seconds,
        check=check,
        explain=explain,
    )


def wait_for_iceberg(
    catalog: Catalog,
    identifier: str,
    topic: str,
    bootstrap_servers: str,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    check: Check = lambda: None,
    explain: Callable[[], str] | None = None,
) -> Progress | None:
    """Return when everything that is in a topic now is in an Iceberg table; read by PyIceberg.

    Args:
        catalog: where the table is.
        identifier: of the table, "namespace.table".

    The other arguments, what is returned and what is raised: see `wait_for_table`.
    """
    return wait_for_table(
        lambda: iceberg_progress(catalog, identifier),
        f"the Iceberg table {identifier}",
        topic,
        bootstrap_servers,
        deadline_seconds=deadline_seconds,
        check=check,
        explain=explain,
    )


def _every(seconds: float, do: Check) -> Check:
    """Return a function that does something only if it did not in the last `seconds`."""
    last = [time.monotonic()]

    def maybe() -> None:
        if time.monotonic() - last[0] >= seconds:
            last[0] = time.monotonic()
            do()

    return maybe


def _raise_if_failed(connector: Connector | None) -> None:
    if connector is None:
        return
    try:
        status = connector.status()
    except ConnectRefused:
        # Connect may be down and come back; the deadline tells.
        return
    if state_of(status.connector.state, [task.state for task in status.tasks]) is ConnectorState.FAILED:
        raise connector_failed(status)


def _slot(postgres: psycopg.Connection[Any], connector: Connector) -> str:
    try:
        return f"slot: {describe_slot(postgres, connector.config.slot_name)}"
    except psycopg.Error as error:
        return f"slot: PostgreSQL does not answer: {error}"
