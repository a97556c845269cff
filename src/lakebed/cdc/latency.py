"""How long a change takes from its commit to a consumer."""

from __future__ import annotations

import time
import uuid
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition

from lakebed.errors import DeadlinePassed

PATIENCE_SECONDS = 30.0


def change_latencies(
    postgres: psycopg.Connection[Any], bootstrap_servers: str, topic: str, statement: str, samples: int
) -> list[float]:
    """Return `samples` latencies in seconds: commit of one change to its event in a consumer's hands.

    Args:
        postgres: a connection in autocommit mode.
        bootstrap_servers: of Kafka.
        topic: the change topic of the table; of one partition.
        statement: SQL that changes one row of the table, each time it is executed.
        samples: how many times to execute it.

    Raises:
        DeadlinePassed: an event did not arrive.
    """
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": f"lakebed-latency-{uuid.uuid4().hex}",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 10,
        "log_level": 0,
    }
    consumer = Consumer(settings)
    try:
        end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE_SECONDS)[1]
        consumer.assign([TopicPartition(topic, 0, end)])
        latencies = []
        for _ in range(samples):
            postgres.execute(statement.encode())
            committed = time.monotonic()
            message = consumer.poll(PATIENCE_SECONDS)
            if message is None or message.error() is not None:
                raise DeadlinePassed(
                    f"waited {PATIENCE_SECONDS:g} s for a change in topic {topic!r}",
                    "nothing arrived" if message is None else str(message.error()),
                    "see whether the connector still streams",
                )
            latencies.append(time.monotonic() - committed)
        return latencies
    finally:
        consumer.close()


def percentile(values: list[float], part: float) -> float:
    """Return the value below which `part` percent of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part / 100), len(ordered) - 1)]
