"""What more tables cost: one connector over ever more of them, from its creation to its clean-up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from rich.table import Table

from bench.report import new_table
from bench.stacks import running
from lakebed.clients.connector import RUNTIME_SETTINGS, Connector
from lakebed.clients.debezium import DebeziumClient
from lakebed.config.settings import load_settings
from lakebed.errors import LakebedError
from lakebed.services import postgres
from lakebed.services.kafka_resources import HEARTBEATS
from lakebed.services.postgres_connection import administer
from lakebed.services.topics import admin_client, topics_with_prefix
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import StackConnection
from lakebed.stack.ledger import Entry

NAME = "scaling"
COUNTS = (10, 1_000, 10_000)
DEADLINE_SECONDS = 1800.0
# Each table is three relations that a transaction locks: the table, its key, its large values.
AT_ONCE = 500
STEPS = ("tables made", "streams", "snapshot in Kafka", "a change in each", "clean-up")
SERVICES = ("postgres", "kafka", "connect", "schema-registry")


@dataclass
class Figures:
    """What was measured with so many tables.

    Attributes:
        seconds: by step.
        memory_mb: by service, resident when all changes are in Kafka.
        topics: of the tables.
        failed: what the step that failed said; the ones after it were not done.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, int] = field(default_factory=dict)
    topics: int = 0
    failed: str = ""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def each_table(database: psycopg.Connection[Any], count: int, statement: str) -> None:
    """Execute a statement for each table, `%s` being its number, in transactions of `AT_ONCE` tables."""
    for first in range(1, count + 1, AT_ONCE):
        last = min(first + AT_ONCE - 1, count)
        loop = f"FOR n IN {first}..{last} LOOP EXECUTE replace({{}}, '%s', n::text); END LOOP"
        body = sql.SQL(loop).format(sql.Literal(statement)).as_string(database)
        database.execute(f"DO $do$ BEGIN {body}; END $do$".encode())


def _measure(count: int, avro: bool) -> Figures:
    figures = Figures()
    services = [name for name in SERVICES if avro or name != "schema-registry"]
    with running(services, load_settings({"stack": "own"})) as connection:
        try:
            _measure_in(connection, count, avro, figures)
        except (LakebedError, psycopg.Error) as error:
            figures.failed = str(error)
    return figures


def _measure_in(connection: StackConnection, count: int, avro: bool, figures: Figures) -> None:
    addresses = Addresses(connection.status()["ports"])
    administer(addresses.postgres_port, lambda one: one.execute(f"CREATE DATABASE {NAME}".encode()))
    config = addresses.debezium_connector_config(
        NAME,
        database_dbname=NAME,
        topic_prefix=NAME,
        slot_name=NAME,
        publication_name=NAME,
        extra_config=addresses.avro_converter() if avro else {},
    )
    with (
        postgres.connect(addresses.postgres_port, NAME) as database,
        DebeziumClient(addresses.debezium_url) as client,
    ):
        connector = Connector(config, client)
        with figures.step("tables made"):
            each_table(database, count, "CREATE TABLE table_%s (id int PRIMARY KEY, name text)")
            each_table(database, count, "INSERT INTO table_%s VALUES (1, 'one')")
        with figures.step("streams"):
            client.create(config, settings=RUNTIME_SETTINGS)
            client.wait_until_streaming(NAME, NAME, database, deadline_seconds=DEADLINE_SECONDS)
        with figures.step("snapshot in Kafka"):
            connector.wait_until_acknowledged(database, deadline_seconds=DEADLINE_SECONDS)
        with figures.step("a change in each"):
            each_table(database, count, "UPDATE table_%s SET name = 'two'")
            connector.wait_until_acknowledged(database, deadline_seconds=DEADLINE_SECONDS)
        status = connection.status()["services"]
        figures.memory_mb = {one["service"]: one["memory_mb"] for one in status}
        figures.topics = len(topics_with_prefix(admin_client(addresses.kafka), f"{NAME}.public."))
    things = [("connector", NAME), ("slot", NAME), ("topic-prefix", NAME)]
    if avro:
        things += [("subject-prefix", f"{NAME}."), ("subject-prefix", f"{HEARTBEATS}.{NAME}-")]
    with figures.step("clean-up"):
        connection.remove(*(Entry(kind, name) for kind, name in [*things, ("database", NAME)]))


def run(rounds: int) -> Table:
    """Measure; once, whatever `rounds` says: ten thousand tables take minutes."""
    table = new_table(
        "more tables",
        "one connector, one row in each table, then one change in each; a stack of its own for each row;"
        "\nstreams: from its creation until its snapshot is read; snapshot in Kafka: from there on"
        "\nmemory: resident after the changes, in MB",
        "tables",
        *STEPS,
        "topics",
        *(f"{name}, MB" for name in SERVICES),
    )
    failures = []
    for count in COUNTS:
        for avro in (False, True):
            figures = _measure(count, avro)
            name = f"{count:,} {'Avro' if avro else 'JSON'}"
            steps = [f"{figures.seconds[step]:.1f} s" if step in figures.seconds else "-" for step in STEPS]
            memory = [str(figures.memory_mb.get(service, "-")) for service in SERVICES]
            table.add_row(name, *steps, f"{figures.topics:,}", *memory)
            if figures.failed:
                failures.append(f"{name}: {figures.failed[:1500]}")
    if failures:
        table.caption = "\n".join([str(table.caption), "failed:", *failures])
    return table
