"""What Debezium tells of its snapshots, and waiting for that: begun, through, left out.

Source: Debezium documentation, "Receiving Debezium notifications".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from lakebed.clients.connector import Connector
from lakebed.config.kafka_clients import Kafka, client_settings
from lakebed.errors import LakebedError, SnapshotFailed
from lakebed.services.consumer_groups import delete_group
from lakebed.services.topics import admin_client
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    import psycopg
    from confluent_kafka import Consumer
    from confluent_kafka.schema_registry import SchemaRegistryClient

INITIAL_SNAPSHOT = "Initial Snapshot"
INCREMENTAL_SNAPSHOT = "Incremental Snapshot"
_TOPIC = "notification.sink.topic.name"
_POLL_SECONDS = 0.5
_ENDS = ("COMPLETED", "SKIPPED", "ABORTED")
# The states of a table's scan with which all its rows are there (Debezium, `TableScanCompletionStatus`).
_READ = ("SUCCEEDED", "EMPTY")


def notification_settings(topic_prefix: str) -> dict[str, str]:
    """Return the settings, for `extra_config`, that have Debezium write notifications into a topic."""
    return {"notification.enabled.channels": "sink", _TOPIC: f"{topic_prefix}.notifications"}


@dataclass(frozen=True)
class Notification:
    """One notification.

    Attributes:
        id: of a snapshot that a signal asked for: that of the signal.
        aggregate_type: what it is about: `INITIAL_SNAPSHOT`, `INCREMENTAL_SNAPSHOT`.
        type: what happened: "STARTED", "TABLE_SCAN_COMPLETED", "COMPLETED", "SKIPPED", "ABORTED".
        additional_data: such as `scanned_collection` and `total_rows_scanned`.
        at: when.
    """

    id: str
    aggregate_type: str
    type: str
    additional_data: Mapping[str, str]
    at: datetime


Seen = list[Notification]


@contextmanager
def _consumer(bootstrap_servers: Kafka, topic: str) -> Iterator[Consumer]:
    from confluent_kafka import Consumer

    group = f"lakebed-notifications-{uuid.uuid4().hex}"
    consumer = Consumer(
        {
            **client_settings(bootstrap_servers),
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "allow.auto.create.topics": True,
            "topic.metadata.refresh.interval.ms": 100,
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )
    try:
        consumer.subscribe([topic])
        yield consumer
    finally:
        consumer.close()
        # Kafka would keep it for some minutes.
        delete_group(admin_client(bootstrap_servers), group)


def wait_for_notification(
    connector: Connector,
    bootstrap_servers: Kafka,
    is_wanted: Callable[[Notification], bool],
    description: str,
    *,
    deadline_seconds: float = 60.0,
    registry: SchemaRegistryClient | None = None,
) -> Seen:
    """Wait for a notification and return all up to it, from the connector's first one on.

    Args:
        connector: with `notification_settings` in its `extra_config`.
        bootstrap_servers: of Kafka, or its endpoint.
        is_wanted: whether this is the one.
        description: what is waited for, as it should stand in the error.
        deadline_seconds: how long to wait.
        registry: where the schemas are, for a connector that writes Avro.

    Raises:
        SnapshotFailed: the connector has no topic for notifications.
        DeadlinePassed: with the last notification and a diagnosis of the connector.
    """
    topic = connector.config.extra_config.get(_TOPIC)
    if topic is None:
        raise SnapshotFailed(
            f"wait for {description}",
            f"connector {connector.name!r} writes no notifications",
            "add `notification_settings(topic_prefix)` to its extra_config, or make it with signals=True",
        )
    seen: Seen = []
    with _consumer(bootstrap_servers, topic) as consumer:

        def arrived() -> bool:
            message = consumer.poll(_POLL_SECONDS)
            value = None if message is None or message.error() is not None else message.value()
            if not isinstance(value, bytes):
                return False
            seen.append(_notification(value, topic, registry))
            return is_wanted(seen[-1])

        wait_until(
            arrived,
            description,
            deadline_seconds=deadline_seconds,
            longest_pause_seconds=0.002,
            explain=lambda: f"notifications: {seen}\n{connector.describe()}",
            remedy="`lakebed logs connect` shows what the task says",
        )
    return seen


def _notification(value: bytes, topic: str, registry: SchemaRegistryClient | None) -> Notification:
    content = _decoded(value, topic, registry)
    return Notification(
        id=content["id"],
        aggregate_type=content["aggregate_type"],
        type=content["type"],
        additional_data=content["additional_data"] or {},
        at=datetime.fromtimestamp(content["timestamp"] / 1000, timezone.utc),
    )


def _decoded(value: bytes, topic: str, registry: SchemaRegistryClient | None) -> Any:
    if value[:1] == b"\0":
        from confluent_kafka.schema_registry.avro import AvroDeserializer
        from confluent_kafka.serialization import MessageField, SerializationContext

        if registry is None:
            raise LakebedError(
                f"read a notification of topic {topic!r}",
                "it is Avro",
                "pass registry=schema_registry_client",
            )
        return AvroDeserializer(registry)(value, SerializationContext(topic, MessageField.VALUE))
    content = json.loads(value)
    return content.get("payload", content)


def wait_for_initial_snapshot(
    connector: Connector,
    bootstrap_servers: Kafka,
    *,
    deadline_seconds: float = 60.0,
    registry: SchemaRegistryClient | None = None,
) -> dict[str, int]:
    """Wait until the connector's first snapshot is in Kafka, or was left out.

    Returns:
        By table, such as "public.orders", the rows it has read; empty for a snapshot that was left out.

    Raises:
        SnapshotFailed: it was aborted, or a table could not be read.
        DeadlinePassed: see `wait_for_notification`.
    """
    seen = wait_for_notification(
        connector,
        bootstrap_servers,
        lambda one: one.aggregate_type == INITIAL_SNAPSHOT and one.type in _ENDS,
        f"the initial snapshot of connector {connector.name!r}",
        deadline_seconds=deadline_seconds,
        registry=registry,
    )
    rows = _rows_of(seen, connector)

    def is_acknowledged() -> bool:
        # Other topics may still lack what was sent before the notification. The offset of the snapshot's
        # events says that it is one; Connect commits what comes after it when Kafka has acknowledged all.
        offsets = connector.client.offsets(connector.name)
        return bool(offsets) and all("snapshot" not in one["offset"] for one in offsets)

    if seen[-1].type != "SKIPPED":
        wait_until(
            is_acknowledged,
            f"Kafka to acknowledge the snapshot of connector {connector.name!r}",
            deadline_seconds=deadline_seconds,
            explain=connector.describe,
        )
    return rows


def wait_for_snapshot(
    connector: Connector,
    postgres: psycopg.Connection[Any],
    bootstrap_servers: Kafka,
    signal_id: str,
    *,
    deadline_seconds: float = 60.0,
    registry: SchemaRegistryClient | None = None,
) -> dict[str, int]:
    """Wait until a snapshot that a signal asked for is in Kafka, and return the rows it has read, by table.

    Args:
        connector: see `wait_for_notification`, as the other arguments.
        postgres: a connection in autocommit mode to the database it captures.
        bootstrap_servers: of Kafka, or its endpoint.
        signal_id: what `lakebed.clients.signals.start_snapshot` returned.
        deadline_seconds: how long to wait.
        registry: for a connector that writes Avro.

    Raises:
        SnapshotFailed: it was aborted (`stop_snapshot`), or a table could not be read, with the reason.
        DeadlinePassed: see `wait_for_notification`.
    """
    seen = wait_for_notification(
        connector,
        bootstrap_servers,
        lambda one: one.id == signal_id and one.type in _ENDS,
        f"snapshot {signal_id!r} of connector {connector.name!r}",
        deadline_seconds=deadline_seconds,
        registry=registry,
    )
    rows = _rows_of([one for one in seen if one.id == signal_id], connector)
    # Other topics may still lack what was sent before the notification.
    connector.wait_until_acknowledged(postgres, deadline_seconds=deadline_seconds)
    return rows


def _rows_of(seen: Seen, connector: Connector) -> dict[str, int]:
    last = seen[-1]
    scans = [
        one.additional_data
        for one in seen
        if one.aggregate_type == last.aggregate_type and one.type == "TABLE_SCAN_COMPLETED"
    ]
    not_read = {scan["scanned_collection"]: scan["status"] for scan in scans if scan["status"] not in _READ}
    # One that was stopped ends as COMPLETED too, and the notification that it was ABORTED has another id.
    begun = {
        table.strip()
        for one in seen
        if one.type == "STARTED" and one.aggregate_type == INCREMENTAL_SNAPSHOT
        for table in one.additional_data.get("data_collections", "").split(",")
    }
    scanned = {scan["scanned_collection"] for scan in scans}
    not_read.update(dict.fromkeys(sorted(begun - scanned), "stopped before its end"))
    if last.type == "ABORTED" or not_read:
        raise SnapshotFailed(
            f"take the {last.aggregate_type} of connector {connector.name!r}",
            f"not read: {not_read}" if not_read else f"it was {last.type}",
            "see whether the tables are captured and have a primary key, or whether somebody stopped it",
        )
    return {scan["scanned_collection"]: int(scan["total_rows_scanned"]) for scan in scans}
