"""How long a change takes from its commit to a consumer."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition

from lakebed.config.kafka_clients import Kafka, client_settings
from lakebed.errors import DeadlinePassed

PATIENCE_SECONDS = 30.0


def change_latencies(
    postgres: psycopg.Connection[Any],
    bootstrap_servers: Kafka,
    topic: str,
    statement: str,
    samples: int,
    *,
    per_second: float = 100.0,
) -> list[float]:
    """Return `samples` latencies in seconds: commit of one change to its event in a consumer's hands.

    Args:
        postgres: a connection in autocommit mode.
        bootstrap_servers: of Kafka, or its endpoint.
        topic: the change topic of the table; of one partition.
        statement: SQL that changes one row of the table, each time it is executed.
        samples: how many times to execute it.
        per_second: how often, whether or not the changes before have arrived.

    Raises:
        DeadlinePassed: an event did not arrive.
    """
    settings = {
        **client_settings(bootstrap_servers),
        "group.id": f"lakebed-latency-{uuid.uuid4().hex}",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 10,
        "log_level": 0,
    }
    consumer = Consumer(settings)
    try:
        end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE_SECONDS)[1]
        consumer.assign([TopicPartition(topic, 0, end)])
        with ThreadPoolExecutor(max_workers=1) as pool:
            committing = pool.submit(_commit, postgres, statement, samples, per_second)
            arrived = [_arrival(consumer, topic) for _ in range(samples)]
            return [there - gone for there, gone in zip(arrived, committing.result(), strict=True)]
    finally:
        consumer.close()


def _commit(
    postgres: psycopg.Connection[Any], statement: str, samples: int, per_second: float
) -> list[float]:
    """Execute the statement at an even pace; return when each was committed."""
    committed: list[float] = []
    pace = threading.Event()
    started = time.monotonic()
    for number in range(samples):
        pace.wait(max(0.0, started + number / per_second - time.monotonic()))
        postgres.execute(statement.encode())
        committed.append(time.monotonic())
    return committed


def _arrival(consumer: Consumer, topic: str) -> float:
    """Return when the next event is there."""
    message = consumer.poll(PATIENCE_SECONDS)
    if message is None or message.error() is not None:
        raise DeadlinePassed(
            f"waited {PATIENCE_SECONDS:g} s for a change in topic {topic!r}",
            "nothing arrived" if message is None else str(message.error()),
            "see whether the connector still streams",
        )
    return time.monotonic()


def percentile(values: list[float], part: float) -> float:
    """Return the value below which `part` percent of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part / 100), len(ordered) - 1)]
