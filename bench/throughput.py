"""How many changes a second go from PostgreSQL through Debezium and Kafka to a consumer."""

from __future__ import annotations

import time
import uuid
from statistics import median

from confluent_kafka import Consumer, TopicPartition
from rich.table import Table

from bench.report import new_table, ratio
from bench.stacks import Stream, running, streaming
from lakebed.config.settings import load_settings
from lakebed.errors import DeadlinePassed

ROWS = 20_000
WARM = 2
DEADLINE_SECONDS = 120.0


def new_consumer(stream: Stream) -> Consumer:
    """Return a consumer that commits nothing and hardly waits for more to come."""
    return Consumer(
        {
            "bootstrap.servers": stream.addresses.kafka_bootstrap_servers,
            "group.id": f"lakebed-bench-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )


def _seconds(stream: Stream, offset: int, first_id: int) -> float:
    """Insert the rows in one transaction; return the seconds from its commit to the last event."""
    topic = stream.connector.topic("throughput")
    consumer = new_consumer(stream)
    try:
        consumer.assign([TopicPartition(topic, 0, offset)])
        last_id = first_id + ROWS - 1
        ids = f"generate_series({first_id}, {last_id}) id"
        stream.database.execute(f"INSERT INTO throughput SELECT id, 'row ' || id FROM {ids}".encode())
        committed = time.monotonic()
        left = ROWS
        while left:
            # Messages come in batches of at most 10,000; each call returns what is there.
            messages = consumer.consume(10_000, timeout=0.05)
            left -= sum(message.error() is None for message in messages)
            if time.monotonic() - committed > DEADLINE_SECONDS:
                raise DeadlinePassed(f"wait for {ROWS} changes in {topic}", f"{left} did not arrive")
        return time.monotonic() - committed
    finally:
        consumer.close()


def run(rounds: int) -> Table:
    """Measure."""
    warm = WARM * rounds
    table = new_table(
        "throughput",
        f"{ROWS:,} inserts in one transaction, from its commit to the last one in a consumer's hands;"
        f"\nfirst: the connector's first ones; later: median of {warm} more",
        "converter",
        "first",
        "later",
        "first/later",
        "later, rows/s",
    )
    with running(["connect", "postgres", "schema-registry"], load_settings()) as connection:
        next_id = 1
        for avro in (False, True):
            with streaming(connection, "throughput", avro=avro) as stream:
                kafka = stream.addresses.kafka_bootstrap_servers
                stream.connector.wait_until_acknowledged(stream.database)
                offset = end_of(kafka, stream.connector.topic("throughput"))
                seconds = []
                for _ in range(1 + warm):
                    seconds.append(_seconds(stream, offset, next_id))
                    next_id += ROWS
                    offset += ROWS
            first, later = seconds[0], median(seconds[1:])
            name = "Avro" if avro else "JSON"
            table.add_row(
                name, f"{first:.2f} s", f"{later:.2f} s", ratio(first, later), f"{ROWS / later:,.0f}"
            )
    return table


def end_of(bootstrap_servers: str, topic: str) -> int:
    """Return the offset at which the topic's next event will be."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "bench-end", "log_level": 0})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30.0)[1])
    finally:
        consumer.close()
