"""Signals to a connector: take a snapshot now, pause it, go on, stop it.

Source: Debezium documentation, "Sending signals to a Debezium connector" and "Incremental snapshots".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakebed.clients.connector import Connector
from lakebed.clients.notifications import notification_settings
from lakebed.config.endpoints import KafkaEndpoint
from lakebed.config.kafka_clients import Kafka, client_settings, java_security
from lakebed.errors import ConnectRefused, LakebedError

if TYPE_CHECKING:
    import psycopg

SIGNAL_TABLE = "public.debezium_signal"
_TABLE = "signal.data.collection"
_TOPIC = "signal.kafka.topic"
_KAFKA_SECONDS = 30.0
_KAFKA = "signal.kafka.bootstrap.servers"


def signal_settings(topic_prefix: str, bootstrap_servers: Kafka | None = None) -> dict[str, str]:
    """Return the settings, for `extra_config`, of a connector that takes signals, and tells of snapshots.

    Args:
        topic_prefix: of the connector.
        bootstrap_servers: of Kafka, or its endpoint, for one that takes signals from a topic too,
            `<prefix>.signals`.
    """
    from_kafka = {
        "signal.enabled.channels": "source,kafka",
        _TOPIC: f"{topic_prefix}.signals",
        _KAFKA: _as_connect_reaches(bootstrap_servers),
        # Debezium's default would have all connectors share one group.
        "signal.kafka.groupId": f"{topic_prefix}.signals",
        "signal.kafka.poll.timeout.ms": "10",
        "signal.consumer.auto.offset.reset": "earliest",
        **java_security(bootstrap_servers or "", "signal.consumer."),
    }
    return {
        **({} if bootstrap_servers is None else from_kafka),
        _TABLE: SIGNAL_TABLE,
        # Debezium's default looks for signals every 5 s.
        "signal.poll.interval.ms": "20",
        **notification_settings(topic_prefix),
    }


def _as_connect_reaches(kafka: Kafka | None) -> str:
    if isinstance(kafka, KafkaEndpoint):
        return kafka.bootstrap_servers_from_connect or kafka.bootstrap_servers
    return kafka or ""


def make_signal_table(postgres: psycopg.Connection[Any]) -> None:
    """Make the table that signals are written into, where it is not there yet."""
    postgres.execute(
        f"CREATE TABLE IF NOT EXISTS {SIGNAL_TABLE}"
        " (id varchar(64) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(4096))"
    )


def send_signal(
    connector: Connector, postgres: psycopg.Connection[Any], kind: str, data: Mapping[str, Any]
) -> str:
    """Send a signal and return its id; it counts with everything committed in front of it.

    Args:
        connector: made with `signal_settings`.
        postgres: a connection in autocommit mode to the database it captures.
        kind: such as "log" or "execute-snapshot".
        data: what it takes.

    Raises:
        ConnectRefused: the connector takes no signals.
    """
    from psycopg import sql

    table = connector.config.extra_config.get(_TABLE)
    if table is None:
        raise ConnectRefused(
            f"send signal {kind!r} to connector {connector.name!r}",
            f"its configuration has no {_TABLE}",
            "add `signal_settings(topic_prefix)` to its extra_config, or make it with signals=True",
        )
    signal_id = uuid.uuid4().hex
    statement = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(sql.Identifier(*table.split(".")))
    postgres.execute(statement, [signal_id, kind, json.dumps(data)])
    return signal_id


def send_signal_through_kafka(
    connector: Connector, kind: str, data: Mapping[str, Any], kafka: Kafka | None = None
) -> str:
    """Send a signal through a topic and return its id: for whoever may not write into the database.

    Args:
        connector: made with `signal_settings(topic_prefix, bootstrap_servers)`.
        kind: such as "execute-snapshot".
        data: what it takes.
        kafka: where to send it; None for the address that the connector has, without credentials.

    Raises:
        ConnectRefused: the connector takes no signals from a topic.
        LakebedError: Kafka did not take it in time.
    """
    from confluent_kafka import Producer

    settings = connector.config.extra_config
    topic = settings.get(_TOPIC)
    if topic is None:
        raise ConnectRefused(
            f"send signal {kind!r} to connector {connector.name!r} through Kafka",
            f"its configuration has no {_TOPIC}",
            "add `signal_settings(topic_prefix, bootstrap_servers)` to its extra_config",
        )
    signal_id = uuid.uuid4().hex
    content = json.dumps({"id": signal_id, "type": kind, "data": data})
    producer = Producer(dict(client_settings(kafka or settings[_KAFKA])))
    # Debezium takes those whose key is its topic prefix.
    producer.produce(topic, content, key=connector.config.topic_prefix)
    if producer.flush(_KAFKA_SECONDS):
        raise LakebedError(f"send signal {kind!r} into topic {topic!r}", "Kafka did not take it in time")
    return signal_id


def _qualified(tables: tuple[str, ...]) -> list[str]:
    return [table if "." in table else f"public.{table}" for table in tables]


def start_snapshot(
    connector: Connector,
    postgres: psycopg.Connection[Any],
    *tables: str,
    where: Mapping[str, str] | None = None,
) -> str:
    """Ask for a snapshot of tables beside the changes that go on, and return its id.

    `lakebed.clients.notifications.wait_for_snapshot` waits for its end.

    Args:
        connector: see `send_signal`, as `postgres`.
        postgres: to the database it captures.
        tables: "orders", or "sales.orders" for another schema than public. They need a primary key.
        where: by table, a condition in SQL that its rows must meet.
    """
    conditions = [
        {"data-collection": _qualified((table,))[0], "filter": condition}
        for table, condition in (where or {}).items()
    ]
    data: dict[str, Any] = {"type": "INCREMENTAL", "data-collections": _qualified(tables)}
    if conditions:
        data["additional-conditions"] = conditions
    return send_signal(connector, postgres, "execute-snapshot", data)


def stop_snapshot(connector: Connector, postgres: psycopg.Connection[Any], *tables: str) -> str:
    """Stop the snapshot of these tables, or of all; rows that were read stay in the topic."""
    data: dict[str, Any] = {"type": "INCREMENTAL"}
    if tables:
        data["data-collections"] = _qualified(tables)
    return send_signal(connector, postgres, "stop-snapshot", data)


def pause_snapshot(connector: Connector, postgres: psycopg.Connection[Any]) -> str:
    """Let the snapshot that is under way wait; changes go on."""
    return send_signal(connector, postgres, "pause-snapshot", {"type": "INCREMENTAL"})


def resume_snapshot(connector: Connector, postgres: psycopg.Connection[Any]) -> str:
    """Go on with a paused snapshot where it was."""
    return send_signal(connector, postgres, "resume-snapshot", {"type": "INCREMENTAL"})
