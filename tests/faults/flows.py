"""What flows through a service: numbers that are committed at one end and have to arrive at the other.

Each flow has a way to commit a number, a way to ask lakebed whether all is well (it raises what its user
would see), and a way to read what has arrived.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from tests.faults.fault_table import WRITES_DOWN

from lakebed.clients.debezium import DebeziumClient
from lakebed.errors import ConnectorFailed, DeadlinePassed
from lakebed.services import postgres

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

    from lakebed.clients.connector import Connector
    from lakebed.config.endpoints import PostgresEndpoint
    from lakebed.stack.addresses import Addresses

ASK_SECONDS = 2.0
# Whoever writes down what is told in the end waits for longer than clients of the store and the catalog.
ANSWER_SECONDS = 90.0 if WRITES_DOWN else 8.0
ARRIVE_SECONDS = 90.0


def weight(length: int) -> str:
    """Return a text of that many bytes that cannot be made shorter."""
    return os.urandom((length + 1) // 2).hex()[:length]


def _row(number: int, weight_bytes: int) -> pa.Table:
    import pyarrow as pa

    return pa.table({"id": pa.array([number], pa.int64()), "weight": pa.array([weight(weight_bytes)])})


class Flow(Protocol):
    """Numbers on their way.

    Attributes:
        weight_bytes: that each of them carries from now on.
        patience_seconds: how long the answer of `ask` is worth waiting for.
    """

    weight_bytes: int
    patience_seconds: float

    def commit(self, number: int) -> None:
        """Commit a number; returns when it is committed, raises what its user would see."""

    def ask(self) -> None:
        """Ask lakebed for all that is committed, with little patience; raises what its user would see."""

    def read(self) -> set[int]:
        """Return what has arrived by now."""

    def arrive(self) -> set[int]:
        """Wait until all that is committed must have arrived, and return what has."""


class _ToTopics:
    """From PostgreSQL into topics of Kafka."""

    weight_bytes = 0
    # A barrier's own deadline, and what it takes to find out what is wrong.
    patience_seconds = 25.0

    def __init__(self, server: PostgresEndpoint, connector: Connector, client: DebeziumClient) -> None:
        self._server = server
        self.connector = connector
        self._client = client
        # One that was there before the fault, as a test's own connection is.
        self._open = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        return postgres.connect(self._server, self.connector.config.database_dbname)

    def ask(self) -> None:
        self.connector.wait_until_acknowledged(self._open, deadline_seconds=ASK_SECONDS)
        self._client.status(self.connector.name, within_seconds=ASK_SECONDS)

    def _acknowledged(self) -> None:
        """Wait for the barrier; a connector that has given up meanwhile is restarted, as its user would."""
        self._open = self._connect()
        try:
            self.connector.wait_until_acknowledged(self._open, deadline_seconds=ARRIVE_SECONDS / 2)
        except (ConnectorFailed, DeadlinePassed) as error:
            sys.stdout.write(f"restarted, because of {error}\n")
            self.connector.restart(self._open)
            self.connector.wait_until_acknowledged(self._open, deadline_seconds=ARRIVE_SECONDS)

    def close(self) -> None:
        with suppress(Exception):
            self._open.close()


class Stream(_ToTopics):
    """Rows of one table, as JSON."""

    def __init__(
        self,
        server: PostgresEndpoint,
        connector: Connector,
        client: DebeziumClient,
        read: Callable[[str], list[tuple[Any, Any]]],
    ) -> None:
        super().__init__(server, connector, client)
        self._read = read
        self._open.execute("CREATE TABLE numbers (id int PRIMARY KEY, weight text)")

    def commit(self, number: int) -> None:
        with self._connect() as connection:
            connection.execute("INSERT INTO numbers VALUES (%s, %s)", [number, weight(self.weight_bytes)])

    def read(self) -> set[int]:
        events = self._read(self.connector.topic("numbers"))
        return {value["after"]["id"] for _, value in events if value is not None}

    def arrive(self) -> set[int]:
        self._acknowledged()
        return self.read()

    def read_source(self) -> None:
        """Read the table itself."""
        with self._connect() as connection:
            connection.execute("SELECT * FROM numbers").fetchall()

    def file_of_source(self) -> str:
        """Return the file that the table is in now, below PostgreSQL's data directory."""
        with self._connect() as connection:
            connection.execute("CHECKPOINT")
            row = connection.execute("SELECT pg_relation_filepath('numbers')").fetchone()
        assert row is not None
        return str(row[0])


class Schemas(_ToTopics):
    """Rows of tables, each of which is a new one with a schema of its own, as Avro."""

    def __init__(
        self, server: PostgresEndpoint, connector: Connector, client: DebeziumClient, addresses: Addresses
    ) -> None:
        super().__init__(server, connector, client)
        self._addresses = addresses
        self._numbers: list[int] = []

    def commit(self, number: int) -> None:
        # A column's name has at most 63 bytes; the schema has it twice, and its type.
        heavy = "".join(f", c{weight(60)} int" for _ in range(self.weight_bytes // 200))
        columns = f"id int PRIMARY KEY, n{number} int{heavy}"
        with self._connect() as connection, connection.transaction():
            connection.execute(f"CREATE TABLE number_{number} ({columns})".encode())
            connection.execute(f"INSERT INTO number_{number} VALUES (%s)".encode(), [number])
        self._numbers.append(number)

    def read(self) -> set[int]:
        return {found for number in self._numbers for found in self._decoded(number)}

    def arrive(self) -> set[int]:
        self._acknowledged()
        return self.read()

    def _decoded(self, number: int) -> list[int]:
        """Read a topic as somebody does who has no schema yet."""
        from confluent_kafka import TopicPartition
        from confluent_kafka.schema_registry.avro import AvroDeserializer
        from confluent_kafka.serialization import MessageField, SerializationContext

        from lakebed.cdc.topic_state import end_offsets, opened_consumer
        from lakebed.clients.registry import schema_registry_client

        kafka, topic = self._addresses.kafka, self.connector.topic(f"number_{number}")
        end = end_offsets(kafka, [topic])[topic].get(0, 0)
        found: list[int] = []
        registry = schema_registry_client(
            self._addresses.schema_registry_config(), self._addresses.schema_registry
        )
        with registry, opened_consumer(kafka) as consumer:
            decode = AvroDeserializer(registry)
            consumer.assign([TopicPartition(topic, 0, 0)])
            for _ in range(end):
                message = consumer.poll(10)
                assert message is not None, f"{end} messages in {topic}, and {len(found)} came"
                if (value := message.value()) is not None:
                    event: Any = decode(value, SerializationContext(topic, MessageField.VALUE))
                    found.append(event["after"]["id"])
        return found


class Objects:
    """Rows of a Delta table on the S3 store, written and read by delta-rs.

    Args:
        options: of delta-rs.
        path: of the table, `s3a://...`.
        endpoint: of the store, as this flow reaches it.
    """

    weight_bytes = 0
    patience_seconds = ANSWER_SECONDS

    def __init__(self, options: Mapping[str, str], path: str, endpoint: str) -> None:
        self.options, self.path, self.endpoint = dict(options), path, endpoint

    def commit(self, number: int) -> None:
        from deltalake import write_deltalake

        rows = _row(number, self.weight_bytes)
        path = self.path.replace("s3a://", "s3://", 1)
        write_deltalake(path, rows, mode="append", storage_options=self.options)

    def ask(self) -> None:
        self.read()

    def arrive(self) -> set[int]:
        return self.read()

    def read(self) -> set[int]:
        from lakebed.cdc.rows import delta_rows

        return set(delta_rows(self.endpoint, self.path).table()["id"].to_pylist())


class Catalogued:
    """Rows of an Iceberg table, written and read by PyIceberg.

    Args:
        addresses: of the stack.
        namespace: for the table.
        uri: of the catalog, as this flow reaches it.
    """

    weight_bytes = 0
    patience_seconds = ANSWER_SECONDS

    def __init__(self, addresses: Addresses, namespace: str, uri: str) -> None:
        from lakebed.clients.catalog import open_catalog

        more = {**addresses.iceberg_client_properties(), "uri": uri}
        self._catalog = open_catalog(addresses.iceberg_catalog_config(), more=more)
        self._identifier = f"{namespace}.numbers"
        self._made = False

    def commit(self, number: int) -> None:
        rows = _row(number, self.weight_bytes)
        if not self._made:
            self._catalog.create_table(self._identifier, rows.schema)
            self._made = True
        self._catalog.load_table(self._identifier).append(rows)

    def ask(self) -> None:
        self.read()

    def arrive(self) -> set[int]:
        return self.read()

    def read(self) -> set[int]:
        from lakebed.cdc.rows import iceberg_rows

        return set(iceberg_rows(self._catalog, self._identifier).table()["id"].to_pylist())
