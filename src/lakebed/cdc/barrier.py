"""An exact barrier: everything that was committed before it has arrived when it has.

`pg_logical_emit_message` writes a message into the write-ahead log; Debezium hands it on in log order, as an
event with op `m` in the topic `<prefix>.message` (Debezium documentation, "PostgreSQL connector", section
"Message events"). The topics of the tables are written in the same order by the same producer.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
from confluent_kafka import Consumer

from lakebed.waiting import wait_until

MESSAGE_PREFIX = "lakebed"


def wait_for_barrier(
    postgres: psycopg.Connection[Any],
    bootstrap_servers: str,
    topic_prefix: str,
    *,
    deadline_seconds: float = 60.0,
    explain: Callable[[], str] | None = None,
) -> None:
    """Return when every change committed before this call is in Kafka.

    Args:
        postgres: a connection, in autocommit mode, to the database the connector captures.
        bootstrap_servers: of Kafka.
        topic_prefix: the connector's.
        deadline_seconds: how long to wait.
        explain: what to add to the error, such as the connector's state.

    Raises:
        DeadlinePassed: the barrier did not arrive.
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
    content = uuid.uuid4().hex
    consumer = Consumer(settings)
    try:
        consumer.subscribe([topic])
        row = postgres.execute(
            "SELECT pg_logical_emit_message(false, %s, %s)", [f"{MESSAGE_PREFIX}-{content}", b""]
        ).fetchone()
        wanted = f"{MESSAGE_PREFIX}-{content}".encode()

        def arrived() -> bool:
            message = consumer.poll(0.5)
            if message is None or message.error() is not None:
                return False
            return wanted in (message.value() or b"")

        wait_until(
            arrived,
            f"the barrier at log position {row[0] if row else 'unknown'} to arrive in topic {topic!r}",
            deadline_seconds=deadline_seconds,
            longest_pause_seconds=0.002,
            explain=explain,
            remedy="see whether the connector still streams: `debezium_client.status(name)`",
        )
    finally:
        consumer.close()
