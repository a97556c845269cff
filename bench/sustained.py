"""How many changes a second a connector keeps up with, committed at an even pace; how far it is behind."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from confluent_kafka import TopicPartition
from rich.table import Table

from bench.report import new_table
from bench.stacks import Stream, running, streaming
from bench.throughput import end_of, new_consumer
from lakebed.config.settings import load_settings
from lakebed.errors import DeadlinePassed
from lakebed.stack.connection import StackConnection

RATES = (10, 1_000, 5_000, 10_000, 20_000, 100_000)
SECONDS = 20.0
# Of more changes, several are in one.
TRANSACTIONS_PER_SECOND = 100
DEADLINE_SECONDS = 300.0


@dataclass(frozen=True)
class Kept:
    """How a rate was kept up with.

    Attributes:
        committed_per_second: what the database took in, which may be less than what was asked for.
        behind: changes that were committed and not consumed when the last one was committed.
        seconds_behind: from the last commit to the last change in the consumer's hands.
        wal_mb: log that PostgreSQL kept for the slot at that moment.
        connect_mb: resident memory of Connect then.
    """

    committed_per_second: float
    behind: int
    seconds_behind: float
    wal_mb: float
    connect_mb: int


def _commit(database: psycopg.Connection[Any], rate: int, first_id: int) -> tuple[int, float]:
    """Insert rows at a pace; return how many, and when the last was committed."""
    rows = max(1, rate // TRANSACTIONS_PER_SECOND)
    transactions = round(SECONDS * rate / rows)
    pace = threading.Event()
    started = time.monotonic()
    done = 0
    for number in range(transactions):
        due = started + number * rows / rate
        pace.wait(max(0.0, due - time.monotonic()))
        if time.monotonic() - started > SECONDS:
            break
        first = first_id + done
        ids = f"generate_series({first}, {first + rows - 1}) id"
        database.execute(f"INSERT INTO sustained SELECT id, 'row ' || id FROM {ids}".encode())
        done += rows
    return done, time.monotonic()


def _kept(stream: Stream, connection: StackConnection, rate: int, first_id: int) -> tuple[Kept, int]:
    topic = stream.connector.topic("sustained")
    slot = (
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) FROM pg_replication_slots"
        " WHERE slot_name = %s"
    )
    offset = end_of(stream.addresses.kafka_bootstrap_servers, topic)
    consumer = new_consumer(stream)
    started = time.monotonic()
    come, at_last_commit = 0, None
    wal_mb, connect_mb = 0.0, 0
    try:
        consumer.assign([TopicPartition(topic, 0, offset)])
        with ThreadPoolExecutor(max_workers=1) as pool:
            committing = pool.submit(_commit, stream.database, rate, first_id)
            while True:
                come += sum(one.error() is None for one in consumer.consume(10_000, timeout=0.05))
                if not committing.done():
                    continue
                done, ended = committing.result()
                if at_last_commit is None:
                    at_last_commit = come
                    row = stream.database.execute(slot, [stream.connector.config.slot_name]).fetchone()
                    wal_mb = float(row[0]) / 2**20 if row is not None else 0.0
                    memory = {one["service"]: one["memory_mb"] for one in connection.status()["services"]}
                    connect_mb = memory["connect"]
                if come >= done:
                    break
                if time.monotonic() - ended > DEADLINE_SECONDS:
                    raise DeadlinePassed(f"wait for {done} changes in {topic}", f"{done - come} are missing")
        seconds = time.monotonic() - ended
    finally:
        consumer.close()
    return Kept(done / (ended - started), done - at_last_commit, seconds, wal_mb, connect_mb), done


def run(rounds: int) -> Table:
    """Measure; once, whatever `rounds` says."""
    table = new_table(
        "changes, sustained",
        f"inserts for {SECONDS:.0f} s, in at most {TRANSACTIONS_PER_SECOND} transactions a second;"
        "\nbehind: committed and not yet with the consumer at the last"
        " commit; until when; log kept for the slot; Connect's memory",
        "asked for",
        "converter",
        "committed",
        "behind",
        "for",
        "log kept",
        "Connect",
    )
    with running(["connect", "postgres", "schema-registry"], load_settings({"stack": "own"})) as connection:
        next_id = 1
        for avro in (False, True):
            with streaming(connection, "sustained", avro=avro) as stream:
                stream.connector.wait_until_acknowledged(stream.database)
                for rate in RATES:
                    kept, done = _kept(stream, connection, rate, next_id)
                    next_id += done
                    table.add_row(
                        f"{rate:,}/s",
                        "Avro" if avro else "JSON",
                        f"{kept.committed_per_second:,.0f}/s",
                        f"{kept.behind:,}",
                        f"{kept.seconds_behind:.2f} s",
                        f"{kept.wal_mb:.0f} MB",
                        f"{kept.connect_mb} MB",
                    )
    return table
